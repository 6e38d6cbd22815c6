// Shows instants and amounts as the reader's locale writes them, instants in the reader's time zone. A day stays
// the day in UTC, which is the date of an invoice. Without this script all are as the server writes them, and so
// they are where the browser does not know a format. The server's text stays as the title.
"use strict";

const DAY = { dateStyle: "medium", timeZone: "UTC" };
const MINUTE = { dateStyle: "medium", timeStyle: "short" };
const SECOND = { dateStyle: "medium", timeStyle: "medium" };

// How exact the server's text is: `2026-01-31`, `… 12:34 UTC` or `… 12:34:56 UTC`.
const precision = (text) => (text.includes(":") ? (text.split(":").length > 2 ? SECOND : MINUTE) : DAY);

const localInstant = (time) =>
  new Intl.DateTimeFormat(undefined, precision(time.textContent)).format(new Date(time.dateTime));

// The amount is a text, since a double cannot hold all its digits.
const localAmount = (data) =>
  new Intl.NumberFormat(undefined, { style: "currency", currency: data.dataset.currency })
    .format(data.value)
    // As the server: a minus sign, which is as wide as a digit.
    .replace("-", "\u2212");

function localize(elements, local) {
  for (const element of elements) {
    try {
      const text = local(element);
      element.title = element.textContent;
      element.textContent = text;
    } catch {
      // It stays as it is.
    }
  }
}

localize(document.querySelectorAll("main time[datetime]"), localInstant);
localize(document.querySelectorAll("main data[data-currency]"), localAmount);
