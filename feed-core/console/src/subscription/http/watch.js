// Looks again and again while a reader can see the page: soon after something has moved, rarely while nothing does,
// more and more rarely while there is no answer, and never in a hidden tab.
"use strict";

// Milliseconds between two looks: after a change, without one at most, and without an answer at most.
const QUICK = 2e3;
const SLOW = 10e3;
const AWAY = 60e3;
// Milliseconds for an answer, and of all looks: a shift. A page that was forgotten must not ask for ever.
const PATIENCE = 5e3;
const SHIFT = 8 * 3600e3;

const within = (time, signal) => AbortSignal.any([signal, AbortSignal.timeout(time)]);

// `look(signal)` asks, shows what it finds, and returns whether something has moved; `signal` ends it when the tab is
// hidden. `stale(reason)` says that what is shown may be old. Returns a function that looks now.
function watch(look, stale) {
  let hidden = new AbortController();
  let wake = () => {};
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      stale("this tab was hidden");
      hidden.abort();
    } else {
      hidden = new AbortController();
    }
    wake();
  });
  const sleep = (time) => new Promise((done) => {
    const timer = time && setTimeout(done, time);
    wake = () => { clearTimeout(timer); done(); };
  });
  const end = Date.now() + SHIFT;
  (async () => {
    for (let [pause, failures] = [QUICK, 0]; Date.now() < end; ) {
      if (document.hidden) {
        await sleep();
        continue;
      }
      const { signal } = hidden;
      try {
        const moved = await look(signal);
        failures = 0;
        pause = moved ? QUICK : Math.min(pause * 1.5, SLOW);
      } catch (error) {
        if (signal.aborted) continue;
        stale(reason(error));
        failures += 1;
        pause = Math.min(QUICK * 2 ** failures, AWAY);
      }
      await sleep(pause);
    }
    stale("after eight hours this page asks no more: reload it");
  })();
  return () => wake();
}

// An error of the browser has a text of its own, which differs between browsers.
const SILENT = "it does not answer";
const reason = (error) =>
  error instanceof DOMException || error instanceof TypeError ? SILENT : error.message;

// As the server writes an instant.
const moment = (date) => `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;

// Sets a text once, so that it is read out once.
function say(element, text, look) {
  if (element.textContent === text) return;
  element.textContent = text;
  element.className = text && look;
}
