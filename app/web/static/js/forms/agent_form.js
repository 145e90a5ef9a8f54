/** Selects an agent and shows the form of its input; keeps the values that were entered for each agent. */

import { makeForm } from "./schema_form.js";

export class AgentForm {
  #agents;
  #container = document.getElementById("agent-input");
  #forms = new Map();

  /** @param {HTMLFormElement} form @param {Record<string, any>[]} agents their cards */
  constructor(form, agents) {
    this.form = form;
    this.#agents = agents;
    for (const choice of form.querySelectorAll("[name=kind]")) choice.addEventListener("change", () => this.#show());
    this.#show();
  }

  /** @returns {string} the selected agent */
  get kind() {
    return this.form.querySelector("[name=kind]:checked").value;
  }

  /** @returns {any} the input. Throws Problem for invalid input */
  read() {
    return this.#forms.get(this.kind).read();
  }

  #show() {
    const kind = this.kind;
    if (!this.#forms.has(kind)) {
      this.#forms.set(kind, makeForm(this.#agents.find((agent) => agent.kind === kind).input_schema));
    }
    this.#container.replaceChildren(this.#forms.get(kind).element);
    // Errors of the input as a whole appear below all of its fields.
    this.#container.dataset.field = "input";
  }
}
