/** Selects an agent and shows the form of its input; keeps the values that were entered for each agent. */

import { el } from "../display/dom.js";
import { makeForm } from "./schema_form.js";

export class AgentForm {
  #agents;
  #container = document.getElementById("agent-input");
  #forms = new Map();

  /** @param {HTMLFormElement} form @param {Record<string, any>[]} agents their cards @param {boolean} [sample] whether to fill in a sample */
  constructor(form, agents, sample = false) {
    this.form = form;
    this.#agents = agents;
    for (const choice of form.querySelectorAll("[name=kind]")) choice.addEventListener("change", () => this.#show());
    this.#show(sample ? this.#sample : undefined);
  }

  /** @returns {string} the selected agent */
  get kind() {
    return this.form.querySelector("[name=kind]:checked").value;
  }

  /** @returns {any} the input. Throws Problem for invalid input */
  read() {
    return this.#forms.get(this.kind).read();
  }

  get #schema() {
    return this.#agents.find((agent) => agent.kind === this.kind).input_schema;
  }

  /** The first example in the schema of the selected agent, if it is an object. */
  get #sample() {
    const example = this.#schema.examples?.[0];
    return example !== null && typeof example === "object" ? example : undefined;
  }

  #show(values) {
    if (values || !this.#forms.has(this.kind)) this.#forms.set(this.kind, makeForm(this.#schema, values));
    const parts = [this.#forms.get(this.kind).element];
    if (this.#sample) parts.unshift(this.#makeSampleLine(values !== undefined));
    this.#container.replaceChildren(...parts);
    // Errors of the input as a whole appear below all of its fields.
    this.#container.dataset.field = "input";
  }

  /** The button that fills in the sample. It is made anew each time, so that the status belongs to what is shown. */
  #makeSampleLine(filled) {
    const button = el("button", { class: "button small", type: "button" }, "Use a sample");
    button.addEventListener("click", () => {
      this.#show(this.#sample);
      this.#container.querySelector(".sample button").focus();
    });
    const status = filled ? "Filled in. Change what you like, then submit it." : "Fills in an input that works.";
    return el("p", { class: "sample" }, button, el("span", { class: "muted", role: "status" }, status));
  }
}
