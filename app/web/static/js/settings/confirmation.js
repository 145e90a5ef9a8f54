/** Asks for confirmation of an action in the page's `#confirm` dialog. */

import { findSlots, setText } from "../display/dom.js";

/**
 * @param {{question: string, name: string, consequence: string, yes: string}} words `yes` is the label of the confirming button
 * @returns {Promise<boolean>}
 */
export function confirmAction(words) {
  const dialog = document.getElementById("confirm");
  const slots = findSlots(dialog);
  for (const [slot, text] of Object.entries(words)) setText(slots[slot], text);
  dialog.returnValue = "no";
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.showModal();
  });
}
