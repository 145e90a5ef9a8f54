/** The members on the settings page: adds and removes members, and changes their roles. */

import { callApi, Problem, quote } from "../server/api.js";
import { confirmAction } from "./confirmation.js";
import { BASE, setText, cloneTemplate } from "../display/dom.js";
import { handleSubmit } from "../forms/errors.js";
import { formatStatus, showTimestamp } from "../display/format.js";
import { EditableList } from "./editable_list.js";

/** Roles with access to the settings page. */
const MANAGERS = ["admin", "owner"];

class Members {
  /** @param {() => void} changed called when a change may have revoked tokens */
  constructor(section, state, changed) {
    this.state = state;
    this.changed = changed;
    this.page = `/instances/${quote(state.instance)}`;
    this.list = new EditableList(section, `${this.page}/members`, (member, members) => this.#draw(member, members));
    const form = document.getElementById("add");
    if (form) handleSubmit(form, () => this.#add(form));
    this.list.show(state.members);
  }

  #draw(member, members) {
    const { root, slots } = cloneTemplate("member-row");
    root.dataset.member = member.name;
    setText(slots.name, member.name);
    setText(slots.role, formatStatus(member.role));
    showTimestamp(slots.since, member.created_at);
    slots.actions.hidden = !this.#mayEdit(member, members);
    slots.choice.setAttribute("aria-label", `Role of ${member.name}`);
    const options = this.state.roles.map((role) => new Option(formatStatus(role), role, false, role === member.role));
    slots.choice.replaceChildren(...options);
    slots.choice.addEventListener("change", () => (slots.change.hidden = slots.choice.value === member.role));
    slots.change.addEventListener("click", () => this.#change(member, slots.choice.value));
    setText(slots.remove, this.#isMe(member) ? "Leave" : "Remove");
    slots.remove.addEventListener("click", () => this.#remove(member));
    return root;
  }

  #mayEdit(member, members) {
    if (!this.state.may.includes("member.write")) return false;
    if (member.role !== "owner") return true;
    return this.state.roles.includes("owner") && members.filter((one) => one.role === "owner").length > 1;
  }

  #isMe(member) {
    return member.user_id === this.state.me;
  }

  async #change(member, role) {
    const done = await this.list.act("PUT", this.#pathOf(member.name), { role });
    if (done && this.#isMe(member)) location.assign(MANAGERS.includes(role) ? location.pathname : this.page);
    else await this.#refresh();
  }

  async #remove(member) {
    const me = this.#isMe(member);
    const confirmed = await confirmAction({
      question: me ? "Leave this instance?" : "Remove this member?",
      name: member.name,
      consequence: "loses access. API tokens that this member created are revoked.",
      yes: me ? "Leave" : "Remove",
    });
    if (!confirmed) return;
    const done = await this.list.act("DELETE", this.#pathOf(member.name));
    if (done && me) location.assign(`${BASE}/`);
    else await this.#refresh();
  }

  async #add(form) {
    const data = new FormData(form);
    const name = data.get("name").trim().toLowerCase();
    if (!name || name === "." || name === "..") throw inputError(name ? "there is no such user" : "this field is required");
    // Adding a member again would silently change the role.
    if (this.list.items.some((member) => member.name === name)) throw inputError("already a member; change the role above");
    await callApi("PUT", this.#pathOf(name), { body: { role: data.get("role") } });
    form.reset();
    await this.#refresh();
  }

  async #refresh() {
    await this.list.refresh();
    this.changed();
  }

  #pathOf(name) {
    return `${this.list.path}/${quote(name)}`;
  }
}

/**
 * @param {HTMLElement} section
 * @param {Record<string, any>} state of the page
 * @param {() => void} changed called when a change may have revoked tokens
 */
export function setUpMembers(section, state, changed) {
  return new Members(section, state, changed);
}

function inputError(detail) {
  return new Problem({ status: 0, code: "invalid_input", detail, field: "name" });
}
