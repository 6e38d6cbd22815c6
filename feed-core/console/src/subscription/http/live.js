// Replaces the parts of the status page that have changed. A part with a form in use, or with a selected text, stays
// until it is free again.
"use strict";

const asof = document.getElementById("asof");
const stale = document.getElementById("stale");
const parts = (root) => new Map([...root.querySelectorAll("[data-live]")].map((part) => [part.dataset.live, part]));
const here = parts(document);
// The parts as the server wrote them: the reader opens details, and types.
const shown = new Map([...here].map(([name, part]) => [name, part.innerHTML]));
let tag = asof.dataset.tag;
let seen = asof.querySelector("time").textContent;

const isChanged = (field) =>
  field.type !== "hidden" && (field.matches("select")
    ? [...field.options].some((option) => option.selected !== option.defaultSelected)
    : field.value !== field.defaultValue || field.checked !== field.defaultChecked);

function isInUse(part) {
  const selection = getSelection();
  if (!selection.isCollapsed && selection.containsNode(part, true)) return true;
  const fields = part.querySelectorAll("input, select, textarea");
  return [...fields].some(isChanged) || [...part.querySelectorAll("form")].some((form) => form.contains(document.activeElement));
}

// What a summary or a link is about, in the old part and in the new one. The order of cards may differ.
const about = (element) => [
  element.textContent,
  element.closest("section")?.querySelector("input[type=hidden]")?.value,
].join("\n");

function replace(part, next) {
  const open = new Set([...part.querySelectorAll("details[open] > summary")].map(about));
  const focused = part.contains(document.activeElement) && about(document.activeElement);
  part.replaceChildren(...next.childNodes);
  for (const summary of part.querySelectorAll("details > summary")) {
    if (open.has(about(summary))) summary.parentElement.open = true;
  }
  if (focused) [...part.querySelectorAll("a, summary")].find((element) => about(element) === focused)?.focus({ preventScroll: true });
}

async function look(signal) {
  const answer = await fetch(location.pathname, {
    headers: { Accept: "text/html", "If-None-Match": tag },
    cache: "no-store",
    signal: within(PATIENCE, signal),
  });
  let [moved, held] = [false, false];
  if (answer.status !== 304) {
    if (!answer.ok) throw new Error(`the service answers ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = parts(page);
    if ([...here.keys()].join() !== [...next.keys()].join()) throw new Error("the page has become another one: reload it");
    for (const [name, part] of here) {
      const html = next.get(name).innerHTML;
      if (html === shown.get(name)) continue;
      if (isInUse(part)) {
        held = true;
        continue;
      }
      replace(part, next.get(name));
      shown.set(name, html);
      // They move each minute, whatever happens.
      moved ||= name !== "charts";
    }
    // Until then the whole page is asked for.
    if (!held) tag = answer.headers.get("ETag") ?? "";
  }
  seen = moment(new Date(answer.headers.get("Date") ?? Date.now()));
  asof.textContent = `As of ${seen}. ` + (held ? "The part that you are using is older." : "It updates by itself.");
  say(stale, "");
  return moved;
}

watch(look, (why) => say(stale, `Not updated since ${seen}: ${why}.`, "notice bad"));
