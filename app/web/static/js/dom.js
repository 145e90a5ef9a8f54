/** Building and filling elements. Text only ever becomes text: nothing here parses HTML. */

/** The path under which the pages are reached, without a slash at its end: empty for the top of a server. */
export const BASE = document.querySelector("meta[name=base]")?.content ?? "";

/**
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `class`, `dataset`, `on…` listeners; true sets, false and null leave out
 * @param {...(Node | string | null)} children
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "dataset") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * A copy of a `<template>` and its slots, the elements with `data-slot`.
 * @param {string} id
 * @returns {{root: HTMLElement, slots: Record<string, HTMLElement>}}
 */
export function stamp(id) {
  const root = document.getElementById(id).content.firstElementChild.cloneNode(true);
  return { root, slots: findSlots(root) };
}

/** @param {Element} root @returns {Record<string, HTMLElement>} */
export function findSlots(root) {
  return Object.fromEntries([...root.querySelectorAll("[data-slot]")].map((slot) => [slot.dataset.slot, slot]));
}

/** Write only what differs: screen readers and selections stay undisturbed. @param {Element} element @param {any} value */
export function setText(element, value) {
  const text = value === null || value === undefined ? "" : String(value);
  if (element.textContent !== text) element.textContent = text;
}

/** @param {string} id @returns {any} the state that the server put into the page */
export function readState(id = "state") {
  return JSON.parse(document.getElementById(id).textContent);
}

/**
 * Call `draw` once before the next repaint, however often it is asked for.
 * @param {() => void} draw
 * @returns {() => void}
 */
export function onNextFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    const once = () => {
      if (!asked) return;
      asked = false;
      clearTimeout(timer);
      draw();
    };
    // A page in the background gets no frames, but its title and its state should not fall behind.
    const timer = setTimeout(once, 250);
    requestAnimationFrame(once);
  };
}
