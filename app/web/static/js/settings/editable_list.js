/** Shows a list of members or tokens with actions for each row; reloads the list after each action. */

import { callApi, Problem } from "../server/api.js";
import { findSlots } from "../display/dom.js";

export class EditableList {
  #slots;
  #draw;

  /**
   * @param {HTMLElement} section with the slots `list`, `empty` and `error`
   * @param {string} path of the list in the REST API
   * @param {(item: any, all: any[]) => HTMLElement} draw one row
   */
  constructor(section, path, draw) {
    this.#slots = findSlots(section);
    this.path = path;
    this.#draw = draw;
    /** @type {any[]} */
    this.items = [];
  }

  /** @param {any[]} items */
  show(items) {
    this.items = items;
    this.#slots.list.replaceChildren(...items.map((item) => this.#draw(item, items)));
    this.#slots.empty.hidden = items.length > 0;
  }

  /** Reload the list. */
  async refresh() {
    await this.#attempt(async () => this.show((await callApi("GET", this.path)).items));
  }

  /**
   * Call the API, and show its error.
   * @returns {Promise<boolean>} whether the call succeeded
   */
  async act(method, path, body) {
    this.#slots.error.hidden = true;
    return this.#attempt(() => callApi(method, path, { body }));
  }

  async #attempt(work) {
    try {
      await work();
      return true;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#slots.error.textContent = problem.message;
      this.#slots.error.hidden = false;
      return false;
    }
  }
}
