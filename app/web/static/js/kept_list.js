/** A list of what an instance keeps, with what can be done to each row. Whatever is done, the list is read again. */

import { callApi, Problem } from "./api.js";
import { findSlots } from "./dom.js";

export class KeptList {
  #slots;
  #draw;

  /**
   * @param {HTMLElement} section with the slots `list`, `empty` and `error`
   * @param {string} path of the API where the list is read
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

  /** Read the list again. */
  async refresh() {
    await this.#attempt(async () => this.show((await callApi("GET", this.path)).items));
  }

  /**
   * Ask the API for something, and say so when it refuses.
   * @returns {Promise<boolean>} whether it was done
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
