/** Formats statuses, timestamps, durations and percentages. */

const timestamps = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const dates = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const UNITS = [[86400, "day"], [3600, "hour"], [60, "minute"]];

/** @param {string} status @returns {string} `IN_PROGRESS` as `In progress` */
export function formatStatus(status) {
  const words = status.replaceAll("_", " ").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** @param {{message: string, status: string}} task @returns {string} its message, unless its status says the same */
export function formatMessage({ message, status }) {
  return message === formatStatus(status) ? "" : message;
}

/** @param {number} percent @returns {string} */
export function formatPercent(percent) {
  return `${Math.floor(percent)} %`;
}

/** @param {string | null} timestamp @returns {string} date and time in local time */
export function formatTimestamp(timestamp) {
  return timestamp ? timestamps.format(new Date(timestamp)) : "–";
}

/** @param {string | null} timestamp @param {Date} [now] @returns {string} the time if it is today, else the date */
export function formatBriefly(timestamp, now = new Date()) {
  if (!timestamp) return "–";
  const date = new Date(timestamp);
  return (date.toDateString() === now.toDateString() ? clock : dates).format(date);
}

/** @param {string | null} from @param {string | null} to @returns {string} such as `340 ms`, `2.4 s`, `3 min 5 s` */
export function formatDuration(from, to) {
  if (!from || !to) return "";
  const milliseconds = Math.max(0, new Date(to) - new Date(from));
  if (milliseconds < 1000) return `${milliseconds} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** @param {number} seconds @returns {string} in the largest unit that divides it: `15 minutes`, `day` */
export function formatInterval(seconds) {
  const [size, unit] = UNITS.find(([size]) => seconds % size === 0) ?? [1, "second"];
  return seconds === size ? unit : `${seconds / size} ${unit}s`;
}

/** Show a timestamp in a `<time>`. @param {HTMLTimeElement} element @param {string | null} timestamp @param {boolean} [brief] */
export function showTimestamp(element, timestamp, brief = false) {
  const text = brief ? formatBriefly(timestamp) : formatTimestamp(timestamp);
  if (element.textContent === text) return;
  element.textContent = text;
  element.dateTime = timestamp ?? "";
  if (brief) element.title = formatTimestamp(timestamp);
}
