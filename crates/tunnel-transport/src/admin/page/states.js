// The states of agents: a colour, a form that is told apart without it, and what they mean.

export const STATES = {
  ok: { paint: "--accent", form: "full", says: "serves" },
  suspect: { paint: "--warn", form: "dot", says: "silent: nothing new goes there" },
  draining: { paint: "--rest", form: "half", says: "ends by itself" },
  drained: { paint: "--rest", form: "ring", says: "gets nothing new: an operator drains it" },
  no_lane: { paint: "--warn", form: "ring", says: "connected, but carries nothing" },
  away: { paint: "--bad", form: "cross", says: "drained, and not connected" },
  lost: { paint: "--bad", form: "cross", says: "gone within the last minute" },
};

export const stateOf = state => STATES[state] ?? STATES.no_lane;

export const colors = () => {
  const style = getComputedStyle(document.documentElement);
  return name => style.getPropertyValue(name).trim();
};

// Draws the sign of a state into a square.
export function sign(context, color, state, x, y, size, strength = 1) {
  const { paint, form } = stateOf(state);
  context.fillStyle = context.strokeStyle = color(paint);
  context.lineWidth = Math.max(1.2, size / 8);
  const half = context.lineWidth / 2;
  const ring = () => context.strokeRect(x + half, y + half, size - 2 * half, size - 2 * half);
  if (form === "full") {
    context.globalAlpha = strength;
    context.fillRect(x, y, size, size);
    context.globalAlpha = 1;
  } else if (form === "half") {
    ring();
    context.fillRect(x, y + size / 2, size, size / 2);
  } else if (form === "ring") {
    ring();
  } else if (form === "dot") {
    ring();
    context.fillRect(x + size / 3, y + size / 3, size / 3, size / 3);
  } else {
    context.beginPath();
    context.moveTo(x + half, y + half);
    context.lineTo(x + size - half, y + size - half);
    context.moveTo(x + size - half, y + half);
    context.lineTo(x + half, y + size - half);
    context.stroke();
  }
}
