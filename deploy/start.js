// Moves the numbers of the start page as orders come. It waits for news at the feed as every reader does,
// by a conditional request that the server answers once there is an event, and then asks each service for
// its status. In a hidden tab, and after ten minutes without news, it asks nothing, and says so.
"use strict";

// Seconds that the feed holds a request back: as often the statuses are asked without news.
const WAIT = 15;
// Waits without news, and the milliseconds in all, after which it stops.
const LAST = 40;
const LONGEST = 3600e3;
// Milliseconds between two looks while a consumer is behind. It looks as often as this list is long.
const PAUSES = [200, 300, 500, ...Array(60).fill(1000)];

const picture = document.getElementById("picture");
const [order, ...consumers] = picture.querySelectorAll("[data-status]");
const asof = document.getElementById("asof");
const stale = document.getElementById("stale");
const grouped = (number) => number.toLocaleString("en");
const pause = (time) => new Promise((done) => setTimeout(done, time));
let hidden = new AbortController();
let shown = 0;

async function ask(box) {
  const answer = await fetch(box.dataset.status, {
    headers: { Accept: "application/json" },
    cache: "no-store",
    signal: AbortSignal.any([AbortSignal.timeout(5000), hidden.signal]),
  });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.json();
}

function show(box, count, states) {
  if (count !== undefined) box.querySelector(".count strong").textContent = grouped(count);
  const spans = states.map(([look, text]) =>
    Object.assign(document.createElement("span"), { className: `status ${look}`, textContent: text }));
  box.querySelector(".state").replaceChildren(...spans.flatMap((span) => [span, " "]));
}

const away = [["bad", "Does not answer"]];

// What an operator has to decide comes first.
function states(status, behind) {
  const all = [];
  if (status.halted) all.push(["bad", "Halted"]);
  if (status.paused) all.push(["bad", "Paused"]);
  if (status.parked > 0) all.push(["bad", `${grouped(status.parked)} parked`]);
  const others = status.concerns.filter((one) => !["halted", "paused", "parked"].includes(one.kind));
  all.push(...others.map((one) => ["bad", one.text[0].toUpperCase() + one.text.slice(1)]));
  // The cursor of a halted one may be no position in this feed.
  if (!status.halted && behind > 0) all.push(["plain", `${grouped(behind)} behind`]);
  else if (!status.halted && others.length === 0) all.push(["good", "All taken"]);
  return all;
}

// Asks all services at once; true if one of them is on its way to the newest event.
async function look() {
  const answers = await Promise.allSettled([order, ...consumers].map(ask));
  if (hidden.signal.aborted) return false;
  const [published, ...followed] = answers.map((answer) => answer.value);
  const newest = published ? published.sequence : 0;
  if (newest > shown) {
    // Starts the animation from its beginning.
    picture.classList.remove("moves");
    void picture.offsetWidth;
    if (shown) picture.classList.add("moves");
    shown = newest;
  }
  const quarantined = published?.quarantined ?? 0;
  show(order, published?.sequence, !published ? away
    : quarantined > 0 ? [["bad", `${grouped(quarantined)} in quarantine`]] : [["good", "Open"]]);
  let moving = false;
  consumers.forEach((box, index) => {
    const status = followed[index];
    if (!status) return show(box, undefined, away);
    const head = Math.max(newest, status.head);
    const behind = head - status.sequence;
    show(box, status.sequence, states(status, behind));
    Object.assign(box.querySelector("progress"), { max: Math.max(head, 1), value: status.sequence });
    moving ||= behind > 0 && !status.halted && !status.paused;
  });
  if (answers.every((answer) => answer.status === "fulfilled")) {
    asof.textContent = `As of ${new Date().toLocaleTimeString()}, and moving with each event.`;
    say("");
  } else {
    say("Where a service does not answer, its numbers are older.");
  }
  return moving;
}

// A message is set once, so that it is read out once.
function say(text) {
  if (stale.textContent !== text) stale.textContent = text;
}

// Waits until the feed has news, or WAIT is over; returns the tag of what it has now.
async function news(tag) {
  const answer = await fetch(picture.dataset.feed, {
    method: tag ? "GET" : "HEAD",
    headers: {
      Accept: "application/atom+xml",
      ...(tag && { "If-None-Match": tag, "A-IM": "feed", Prefer: `wait=${WAIT}` }),
    },
    cache: "no-store",
    signal: AbortSignal.any([AbortSignal.timeout((WAIT + 5) * 1000), hidden.signal]),
  });
  // The entries themselves are not needed.
  await answer.body?.cancel();
  if (!answer.ok && answer.status !== 304) throw new Error(`status ${answer.status}`);
  return answer.headers.get("ETag") ?? tag;
}

function visible() {
  return new Promise((done) => {
    if (!document.hidden) return done();
    document.addEventListener("visibilitychange", () => done(visible()), { once: true });
  });
}

async function live() {
  let tag = null;
  const end = Date.now() + LONGEST;
  for (let quiet = 0; quiet < LAST && Date.now() < end; quiet += 1) {
    await visible();
    if (hidden.signal.aborted) hidden = new AbortController();
    try {
      // The tag first: an event that comes while the services answer ends the next wait at once.
      tag ??= await news(null);
      for (const time of PAUSES) {
        if (!(await look()) || document.hidden) break;
        await pause(time);
      }
      const next = await news(tag);
      if (next !== tag) quiet = 0;
      tag = next;
    } catch {
      if (!document.hidden) {
        say("The feed does not answer right now; the numbers may be older.");
        await look();
        await pause(5000);
      }
    }
  }
  say("They no longer move: reload this page to look again.");
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return;
  say("Not asked while this tab was hidden.");
  hidden.abort();
});
live().catch(() => say("They no longer move: reload this page to look again."));
