// The order form without reloads. Each step works without this script too: a button then loads a whole
// page from the server. The server also renders the lines that this script inserts.
"use strict";

const form = document.getElementById("order");
const total = () => document.getElementById("total");

// As `locale.js` shows amounts.
function amount(cents) {
  const text = cents.toString().padStart(3, "0");
  const { currency } = total().dataset;
  return new Intl.NumberFormat(undefined, { style: "currency", currency })
    .format(`${text.slice(0, -2)}.${text.slice(-2)}`);
}

// Where the lists of all lines would be too large, numbers are typed, and only the server knows the prices.
const isTyped = () => document.getElementById("items") !== null;

// The pieces of a line, as the server reads them; none if it refuses the number.
function pieces(text) {
  const digits = /^\+?0*(\d{1,18})$/.exec(text.trim())?.[1] ?? 0;
  return BigInt(digits) <= BigInt(form.dataset.most) ? BigInt(digits) : 0n;
}

// Amounts are whole cents: a double cannot hold the total of a thousand lines of a million pieces.
function sum() {
  if (isTyped()) return;
  let cents = 0n;
  for (const line of form.querySelectorAll(".line")) {
    const item = line.querySelector("select").selectedOptions[0]?.dataset.cents;
    if (item) cents += BigInt(item) * pieces(line.querySelector("input").value);
  }
  total().value = amount(cents);
}

// The script replaces these buttons, and the amounts of the server.
function adapt() {
  if (isTyped()) return;
  document.getElementById("update").hidden = true;
  for (const option of form.querySelectorAll("option[data-cents]")) {
    option.textContent = option.textContent.replace(/[\d.]+ \w+$/, amount(BigInt(option.dataset.cents)));
  }
  sum();
}

// The address of the form. The form that is shown again after a button has that of the button, which shows
// another page, or none, when it is loaded.
const own = new URL("form.html", form.action);

// Keeps what is filled in with this page in the browser's history, under the address of the form: after going back
// a browser fills in the fields that the server has sent, and neither those of added lines nor always all others.
function keep() {
  const order = new URLSearchParams(new FormData(form)).toString();
  own.hash = location.hash;
  try {
    history.replaceState({ order }, "", own);
  } catch {
    // There are browsers that take only so many in a minute.
  }
}

// Asks the server for the form with these values.
async function load(address, body) {
  const answer = await fetch(address, { method: "POST", body });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

// Takes the lines of the form with a line more or less.
async function change(button) {
  const page = await load(button.formAction, new URLSearchParams(new FormData(form, button)));
  document.getElementById("orderLine").replaceWith(page.getElementById("orderLine"));
  adapt();
  keep();
  const added = button.id === "add" && [...form.querySelectorAll(".line [name$='.item']")].pop();
  (added || document.getElementById("orderLine")).focus();
}

// Fills in what was kept. Until it is there, and if it does not come, nothing else may be sent in its place.
async function restore(kept) {
  form.inert = true;
  const update = document.getElementById("update");
  const body = new URLSearchParams(kept);
  body.set(update.name, update.value);
  try {
    const page = await load(update.formAction, body);
    form.replaceChildren(...page.getElementById("order").childNodes);
    form.inert = false;
    adapt();
  } catch {
    form.textContent = "The server does not answer. What you have filled in is kept: load this page again.";
  }
}

let busy = false;
form.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button || !(button.id === "add" || button.name === "remove")) return;
  event.preventDefault();
  if (busy) return;
  busy = true;
  try {
    await change(button);
  } catch {
    // As without a script.
    form.requestSubmit(button);
  } finally {
    busy = false;
  }
});
form.addEventListener("input", () => {
  sum();
  keep();
});
// By then the browser has filled in fields itself.
addEventListener("pageshow", () => total() && sum());

adapt();
// Shown again by the server, with what was filled in.
if (location.pathname !== own.pathname) keep();
// A link to this page that is pressed on it may keep what this entry has, and asks for a blank form.
else if (performance.getEntriesByType("navigation")[0]?.type === "navigate") history.replaceState(null, "");
else if (history.state?.order) restore(history.state.order);
