// Numbers for people. Every function takes what is not known, too.

const NONE = "\u2013";
const known = value => value != null && Number.isFinite(value);

export const whole = value => (known(value) ? Math.round(value).toLocaleString("en") : NONE);

// Three digits that count: 0.4, 12.3, 1,234, 56.7 k.
export function rate(value) {
  if (!known(value)) return NONE;
  if (value === 0) return "0";
  if (value < 0.095) return "<0.1";
  if (value < 99.95) return value.toFixed(1);
  if (value < 9_999.5) return whole(value);
  return value < 999_950 ? `${(value / 1e3).toFixed(1)} k` : `${(value / 1e6).toFixed(2)} M`;
}

export function bytes(value) {
  if (!known(value)) return NONE;
  let unit = 0;
  while (value >= 1_000 && unit < 4) {
    value /= 1_024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}

// A time in microseconds.
export function micros(value) {
  if (!known(value)) return NONE;
  if (value < 999.5) return `${Math.round(value)} \u00b5s`;
  if (value < 999_500) return `${(value / 1e3).toFixed(value < 9_950 ? 1 : 0)} ms`;
  return `${(value / 1e6).toFixed(value < 9_950_000 ? 1 : 0)} s`;
}

// For how long something has been, from milliseconds.
export function age(value) {
  if (!known(value)) return NONE;
  const seconds = Math.floor(value / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const pad = number => String(number).padStart(2, "0");
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}:${pad(seconds % 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}:${pad(Math.floor(seconds / 60) % 60)} h`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor(seconds / 3_600) % 24} h`;
}

export const percent = value => (known(value) ? (value === 0 ? "0 %" : value < 0.1 ? "<0.1 %" : `${value.toFixed(1)} %`) : NONE);

export const clock = at => (at ? new Date(at).toLocaleTimeString("en-GB") : NONE);

export const day = at => (at ? new Date(at).toLocaleString("en-GB") : NONE);
