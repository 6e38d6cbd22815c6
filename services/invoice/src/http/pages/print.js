// Shows the button that prints the page. The browser's own menu does the same without this script.
"use strict";

const button = document.getElementById("print");
button.hidden = false;
button.addEventListener("click", () => window.print());
