// The page of an order, and the question whether to cancel it. Adds a summary beside the links to invoice and shipment, if the other services have this origin. It asks
// for a minute, by conditional requests (the browser keeps the answer with its ETag). Where a service does
// not answer, the link stays as it is.
"use strict";

// Milliseconds between two requests: most answers are there at once.
const PAUSES = [300, 500, 700, 1000, 1000, 1500, 2000, 3000, ...Array(10).fill(5000)];
const LOOKS = { issued: "good", dispatched: "good", pending: "plain" };

const element = (name, className, text) =>
  Object.assign(document.createElement(name), { className, textContent: text });

// Reads a list. Totals stay texts: a double does not have all digits of a large one.
const parse = (text) => JSON.parse(text.replace(/("total":\s*)(-?[\d.]+)/g, '$1"$2"'));

// As `locale.js` shows amounts.
const amount = ({ total, currency }) =>
  new Intl.NumberFormat(undefined, { style: "currency", currency }).format(total);

async function look(section) {
  const answer = await fetch(section.dataset.list, {
    headers: { Accept: "application/json" },
    cache: "no-cache",
    signal: AbortSignal.timeout(5000),
  });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const list = parse(await answer.text())[section.dataset.member];
  if (!Array.isArray(list)) throw new Error("no list of ours");
  return list[0];
}

function show(section, found) {
  const link = section.querySelector("a");
  const told = JSON.stringify(found ?? null);
  if (section.dataset.told === told) return;
  section.dataset.told = told;
  link.hidden = !found;
  const parts = [link];
  if (found) {
    if (found.number) link.textContent = `${section.querySelector("h2").textContent} ${found.number}`;
    const word = found.status[0].toUpperCase() + found.status.slice(1);
    parts.push(" ", element("span", `status ${LOOKS[found.status] ?? "bad"}`, word));
    if (found.total !== undefined) parts.push(" ", amount(found));
  } else {
    parts.push(element("span", "quiet waiting", "on its way"));
  }
  section.querySelector("p").replaceChildren(...parts);
}

async function watch(section) {
  if (new URL(section.dataset.list, location).origin !== location.origin) return;
  for (const pause of [...PAUSES, 0]) {
    if (!document.hidden) {
      try {
        show(section, await look(section));
      } catch {
        const note = section.querySelector(".quiet");
        if (note && !note.classList.contains("waiting")) {
          note.textContent = "Its service does not answer right now.";
        }
      }
    }
    await new Promise((done) => setTimeout(done, pause));
  }
  const waiting = section.querySelector(".waiting");
  if (waiting) waiting.textContent = "Not there yet. Reload this page to look again.";
}

document.querySelectorAll(".elsewhere").forEach(watch);
// After going back, a copy that the browser has kept may offer what has been done since.
addEventListener("pageshow", (event) => event.persisted && location.reload());
