/** Sending a form: one submission at a time, and every refusal shown at the field that it names. */

import { Problem } from "./api.js";
import { el } from "./dom.js";

/**
 * @param {HTMLFormElement} form fields are the elements with `data-field`; its `.form-error` takes the rest
 * @param {() => Promise<void>} send throws a Problem, or whatever `FieldProblem` the form itself finds
 */
export function handleSubmit(form, send) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("[type=submit]");
    if (button.disabled) return;
    button.disabled = true;
    clearErrors(form);
    try {
      await send();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      showProblem(form, problem);
    } finally {
      button.disabled = false;
    }
  });
}

/** @param {HTMLFormElement} form @param {Problem} problem */
export function showProblem(form, problem) {
  const homeless = problem.errors.length ? [] : [problem.message];
  for (const { field, message } of problem.errors) {
    const place = findPlace(form, field);
    if (place) showAt(place, message);
    else homeless.push(message.startsWith(field) ? message : `${field}: ${message}`);
  }
  const summary = form.querySelector(".form-error");
  summary.textContent = homeless.join("\n");
  summary.hidden = homeless.length === 0;
  form.querySelector("[aria-invalid]")?.focus();
}

function clearErrors(form) {
  for (const message of form.querySelectorAll(".field-error")) message.remove();
  for (const control of form.querySelectorAll("[aria-invalid]")) {
    control.removeAttribute("aria-invalid");
    control.removeAttribute("aria-errormessage");
  }
  form.querySelector(".form-error").hidden = true;
}

/** The element of the field itself, or of the innermost part around it: `input.brand.words[2]`, then `input.brand.words`… */
function findPlace(form, field) {
  for (let name = field; name; name = name.replace(/(\.[^.[]*|\[\d+\]|^[^.[]+)$/, "")) {
    const place = form.querySelector(`[data-field="${CSS.escape(name)}"]`);
    if (!place || place.closest("[hidden]")) continue;
    for (let box = place.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    return place;
  }
  return null;
}

function showAt(place, message) {
  const id = `error-${place.dataset.field.replace(/[^A-Za-z0-9_-]/g, "-")}`;
  if (!place.querySelector(`:scope > #${CSS.escape(id)}`)) {
    place.append(el("p", { class: "field-error", id, role: "alert" }, message));
  }
  const control = place.querySelector("input, select, textarea");
  control?.setAttribute("aria-invalid", "true");
  control?.setAttribute("aria-errormessage", id);
}
