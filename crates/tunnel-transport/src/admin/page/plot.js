// Small plots of the last minutes. They are drawn on a canvas once a second, in the colours of the style sheet.

import { make, write } from "./dom.js";
import { PLOT } from "./rates.js";

const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// A canvas with as many dots as the screen has. Gives its size, and a context in units of CSS.
export function fit(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const dots = window.devicePixelRatio || 1;
  const wide = Math.round(width * dots), high = Math.round(height * dots);
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
  }
  const context = canvas.getContext("2d");
  context.setTransform(dots, 0, 0, dots, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

// A round number that is not below this one, so that the scale does not move with every value.
export function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map(step => step * power).find(step => step >= value);
}

export class Plot {
  // `series`: names in the rates, the first is drawn as an area; `say` makes a value a text; `paint` is a colour of the style sheet.
  constructor(parent, { title, series, keys = [], say, paint = "--accent", detail }) {
    Object.assign(this, { title, series, say, paint, detail, at: null });
    this.now = make("div", { class: "now" });
    this.value = document.createTextNode("\u2013");
    this.small = make("small");
    this.now.append(this.value, this.small);
    this.canvas = make("canvas", { role: "img" });
    this.top = make("span");
    const labels = keys.map((key, i) => make("span", { class: i ? "key second" : "key" }, key));
    this.when = make("span", {}, ...(labels.length ? [labels[0], " ", labels[1]] : ["5 min"]));
    const foot = make("div", { class: "foot" }, this.when, this.top);
    parent.append(make("div", { class: "plot" }, make("h2", {}, title), this.now, this.canvas, foot));
    this.canvas.addEventListener("pointermove", event => this.point(event.offsetX));
    this.canvas.addEventListener("pointerleave", () => this.point(null));
  }

  point(x) {
    this.at = x == null ? null : Math.round((1 - x / this.canvas.clientWidth) * (PLOT - 1));
    if (this.rates) this.draw(this.rates);
  }

  draw(rates) {
    this.rates = rates;
    const { context, width, height } = fit(this.canvas);
    const lines = this.series.map(name => rates.series[name]);
    const most = lines.flat().reduce((most, value) => Math.max(most, value ?? 0), 0);
    const scale = ceiling(most);
    const x = back => width - 1 - (back / (PLOT - 1)) * (width - 2);
    const y = value => height - 1.5 - (value / scale) * (height - 4);
    context.lineWidth = 1;
    context.strokeStyle = color("--line");
    context.beginPath();
    context.moveTo(0, height - 0.5);
    context.lineTo(width, height - 0.5);
    context.stroke();
    lines.forEach((values, i) => this.line(context, values, x, y, i, height));
    const back = this.at != null && this.at < lines[0].length ? this.at : 0;
    const value = line => line[line.length - 1 - back] ?? null;
    if (this.at != null) {
      context.strokeStyle = color("--quiet");
      context.beginPath();
      context.moveTo(x(back), 0);
      context.lineTo(x(back), height);
      context.stroke();
    }
    const told = this.say(value(lines[0]));
    if (this.value.data !== told) this.value.data = told;
    const more = this.detail ? this.detail(...lines.map(value)) : "";
    write(this.small, this.at != null ? `${more} ${back} s ago` : more);
    write(this.top, most > 0 ? `top ${this.say(scale)}` : "");
    const spoken = `${this.title}, the last five minutes: now ${told} ${more}, at most ${this.say(most)}`;
    if (this.canvas.getAttribute("aria-label") !== spoken) this.canvas.setAttribute("aria-label", spoken);
  }

  line(context, values, x, y, number, height) {
    const stroke = color(number === 0 ? this.paint : "--second");
    context.strokeStyle = stroke;
    context.lineWidth = 1.5;
    context.lineJoin = "round";
    let begun = null;
    const flush = end => {
      if (begun == null) return;
      context.beginPath();
      for (let i = begun; i < end; i++) {
        const to = [x(values.length - 1 - i), y(values[i])];
        i === begun ? context.moveTo(...to) : context.lineTo(...to);
      }
      // One value alone is a dot.
      if (end - begun === 1) context.lineTo(x(values.length - 1 - begun) + 1, y(values[begun]));
      context.stroke();
      if (number === 0) {
        context.lineTo(x(values.length - end), height - 1);
        context.lineTo(x(values.length - 1 - begun), height - 1);
        context.globalAlpha = 0.14;
        context.fillStyle = stroke;
        context.fill();
        context.globalAlpha = 1;
      }
      begun = null;
    };
    values.forEach((value, i) => {
      if (value == null) flush(i);
      else begun ??= i;
    });
    flush(values.length);
  }
}
