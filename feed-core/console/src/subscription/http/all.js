// Asks each consumer for its status, and fills its row. Nothing that a consumer answers is markup, and a row never shows
// the numbers of a consumer that does not answer any more.
"use strict";

// The most characters that are read of an answer, and shown of a text.
const LARGEST = 1024 * 1024;
const LONGEST = 300;
// Milliseconds for an answer for which the reader has to sign in.
const SIGNING_IN = 60e3;

const asof = document.getElementById("asof");
const rows = [...document.querySelectorAll("tr[data-status]")];
const well = new Map();

const number = (value) => (Number.isSafeInteger(value) ? value.toLocaleString("en") : "–");
// Without characters that would reverse what follows.
const text = (value) => (typeof value === "string"
  ? [...value.slice(0, 2 * LONGEST)].slice(0, LONGEST).join("").replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, "")
  : "");
const element = (name, className, textContent) =>
  Object.assign(document.createElement(name), { className, textContent });

// As the server writes a length of time.
function span(seconds) {
  const units = [[172800, 86400, "days"], [7200, 3600, "h"], [120, 60, "min"], [-Infinity, 1, "s"]];
  const [, length, unit] = units.find(([least]) => seconds >= least);
  return `${number(Math.floor(seconds / length))} ${unit}`;
}

function lag({ events, seconds } = {}) {
  if (!Number.isSafeInteger(events)) return "–";
  if (events === 0) return seconds > 0 ? "none known" : "none";
  const behind = `${number(events)} ${events === 1 ? "event" : "events"}`;
  return Number.isSafeInteger(seconds) ? `${behind}, ${span(seconds)}` : behind;
}

function contact(value) {
  const date = new Date(typeof value === "string" ? value : NaN);
  return Number.isNaN(date.getTime()) ? "–" : moment(date);
}

async function read(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let all = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) return all;
    all += value;
    if (all.length > LARGEST) {
      await reader.cancel();
      throw new Error("it answers with more than a status");
    }
  }
}

// The consumer has an answer that this page may not read.
class Closed extends Error {}

async function ask(url, credentials, signal) {
  const isElsewhere = new URL(url, location).origin !== location.origin;
  const options = {
    headers: { Accept: "application/json" },
    credentials: isElsewhere ? credentials : "same-origin",
    cache: "no-store",
    redirect: "manual",
    // The browser may ask the reader for a name and a password.
    signal: within(isElsewhere && credentials === "include" ? SIGNING_IN : PATIENCE, signal),
  };
  const answer = await fetch(url, options).catch(async (error) => {
    if (!isElsewhere || options.signal.aborted) throw error;
    // A browser does not say why. An answer that nobody may read shows that there is one.
    await fetch(url, { ...options, mode: "no-cors", credentials: "omit", redirect: "follow" });
    throw new Closed("it answers, but not to this page: it needs credentials, or its STATUS_ORIGINS does not name this origin");
  });
  if (answer.type === "opaqueredirect") throw new Error("it redirects to another address");
  if (!answer.ok) throw new Error(`it answers ${answer.status}`);
  let status;
  try {
    status = JSON.parse(await read(answer));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (!Number.isSafeInteger(status?.sequence) || !Number.isSafeInteger(status.head)) {
    throw new Error("it answers with something else than a consumer's status");
  }
  return status;
}

// Fills a row; returns whether something has changed, beside the last contact, which moves while nothing happens.
function show(row, state, cells) {
  for (const cell of row.querySelectorAll("td[data-is]")) cell.textContent = cells[cell.dataset.is] ?? "–";
  const now = JSON.stringify([state, { ...cells, contact: null }]);
  if (row.dataset.shown === now) return false;
  row.dataset.shown = now;
  const said = state.map(([look, word, why]) => {
    const line = element("p", "reason", "");
    line.append(element("span", `status ${look}`, word), ...(why ? [" ", why] : []));
    return line;
  });
  row.querySelector(".state").replaceChildren(...said);
  return true;
}

function summary() {
  const count = [...well.values()].filter((isWell) => isWell).length;
  const asked = well.size === rows.length ? "" : `, ${rows.length - well.size} not asked yet`;
  say(asof, `${count} of ${rows.length} well${asked}. The rows update by themselves.`);
}

function states(status) {
  // A version that does not name them.
  if (!Array.isArray(status.concerns)) return [["plain", "Not known", "it does not say whether it is well"]];
  if (status.concerns.length === 0) return [["good", "Well"]];
  return status.concerns.slice(0, 10).map((concern) => {
    const word = text(concern?.text) || "Not known";
    return [concern?.kind === "paused" ? "plain" : "bad", word[0].toUpperCase() + word.slice(1), text(concern?.why)];
  });
}

// Asks without credentials until the reader wants it otherwise: for some answers a browser opens a dialog.
function follow(row) {
  let since = null;
  let credentials = "omit";
  const look = async (signal) => {
    const status = await ask(row.dataset.status, credentials, signal).catch((error) => {
      row.toggleAttribute("data-closed", error instanceof Closed);
      credentials = "omit";
      throw error;
    });
    since = null;
    row.removeAttribute("data-closed");
    const state = states(status);
    well.set(row, state[0][0] === "good");
    summary();
    return show(row, state, {
      taken: `${number(status.sequence)} of ${number(status.head)}`,
      lag: lag(status.lag ?? {}),
      parked: number(status.parked),
      instances: number(status.instances),
      contact: contact(status.last_contact),
    });
  };
  const now = watch(look, (why) => {
    if (document.hidden) return show(row, [["plain", "Not asked", why]], {});
    since ??= moment(new Date());
    well.set(row, false);
    summary();
    const isAway = why === SILENT;
    const isNew = show(row, [["bad", isAway ? "Does not answer" : "No status", `since ${since}${isAway ? "" : `: ${why}`}`]], {});
    if (isNew && row.hasAttribute("data-closed")) {
      const button = element("button", "plain", "Ask with my credentials");
      button.onclick = () => {
        credentials = "include";
        now();
      };
      row.querySelector(".state").append(button);
    }
  });
}

rows.forEach(follow);
