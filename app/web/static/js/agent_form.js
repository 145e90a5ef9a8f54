/** The choice of an agent and the form of its input, as two pages have it. What was typed is kept for each agent. */

import { makeForm } from "./schema_form.js";

export class AgentForm {
  #agents;
  #place = document.getElementById("agent-input");
  #forms = new Map();

  /** @param {HTMLFormElement} form @param {Record<string, any>[]} agents their cards */
  constructor(form, agents) {
    this.form = form;
    this.#agents = agents;
    for (const choice of form.querySelectorAll("[name=kind]")) choice.addEventListener("change", () => this.#show());
    this.#show();
  }

  /** @returns {string} the agent that is chosen */
  get kind() {
    return this.form.querySelector("[name=kind]:checked").value;
  }

  /** @returns {any} its input. Throws Problem for what cannot be sent */
  read() {
    return this.#forms.get(this.kind).read();
  }

  #show() {
    const kind = this.kind;
    if (!this.#forms.has(kind)) {
      this.#forms.set(kind, makeForm(this.#agents.find((agent) => agent.kind === kind).input_schema));
    }
    this.#place.replaceChildren(this.#forms.get(kind).element);
    // What concerns the input as a whole is shown below all of its fields.
    this.#place.dataset.field = "input";
  }
}
