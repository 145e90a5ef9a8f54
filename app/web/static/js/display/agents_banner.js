/** Shows above the page, under `swallowtail dev`, why the agents cannot be loaded; hides it when they can. */

import { BASE, el } from "./dom.js";

const EVERY_MS = 1000;
const url = BASE + document.querySelector("meta[name=agents-error]").content;
const text = el("p");
const banner = el(
  "div",
  { class: "wide", role: "alert", hidden: true },
  el(
    "div",
    { class: "callout" },
    el("strong", {}, "The agents cannot be loaded"),
    text,
    el("p", {}, "Mend the file and save it: this message disappears."),
  ),
);
document.getElementById("main").before(banner);

async function update() {
  try {
    const response = await fetch(url, { cache: "no-store" });
    const { error } = await response.json();
    if (text.textContent !== (error ?? "")) text.textContent = error ?? "";
    banner.hidden = !error;
  } catch {
    // The web process is away; its page says so.
  }
  setTimeout(update, EVERY_MS);
}

update();
