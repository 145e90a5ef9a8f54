/** A question before what cannot be taken back, in the page's `#confirm` dialog. */

import { findSlots, setText } from "./dom.js";

/**
 * @param {{question: string, name: string, consequence: string, yes: string}} words `yes` is on the button that does it
 * @returns {Promise<boolean>}
 */
export function askFirst(words) {
  const dialog = document.getElementById("confirm");
  const slots = findSlots(dialog);
  for (const [slot, text] of Object.entries(words)) setText(slots[slot], text);
  dialog.returnValue = "no";
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.showModal();
  });
}
