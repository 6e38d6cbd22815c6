// The order form without reloads. Each step works without this script too: a button then loads a whole
// page from the server. The server also renders the lines that this script inserts.
"use strict";

const form = document.getElementById("order");
const total = () => document.getElementById("total");

// Amounts are whole cents: a double cannot hold the total of a thousand lines of a million pieces.
function sum() {
  let cents = 0n;
  for (const line of form.querySelectorAll(".line")) {
    const item = line.querySelector("select").selectedOptions[0]?.dataset.cents;
    const count = line.querySelector("input").value.trim();
    if (item && /^\d{1,7}$/.test(count)) cents += BigInt(item) * BigInt(count);
  }
  const text = cents.toString().padStart(3, "0");
  total().value = `${text.slice(0, -2)}.${text.slice(-2)} EUR`;
}

// The script replaces these buttons.
function adapt() {
  document.getElementById("update").hidden = true;
  sum();
}

// Asks the server for the form with a line more or less, and takes its lines.
async function change(button) {
  const body = new URLSearchParams(new FormData(form, button));
  const answer = await fetch(button.formAction, { method: "POST", body });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.getElementById("orderLine").replaceWith(page.getElementById("orderLine"));
  adapt();
  const added = button.id === "add" && [...form.querySelectorAll(".line select")].pop();
  (added || document.getElementById("orderLine")).focus();
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
form.addEventListener("input", sum);

adapt();
