// What the page is made of. Text goes in as text, and never as HTML; the policy of the page forbids anything else.

export const byId = id => document.getElementById(id);

// An element with attributes (functions are listeners) and children.
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.filter(child => child != null));
  return element;
}

// Writes only what is different: the layout stays, and so does what somebody has marked.
export function write(element, text) {
  const value = String(text ?? "");
  if (element.textContent !== value) element.textContent = value;
}

export function classes(element, names) {
  if (element.className !== names) element.className = names;
}

let hide;
// Says briefly what came of something.
export function toast(text) {
  const element = byId("toast");
  write(element, text);
  clearTimeout(hide);
  hide = setTimeout(() => write(element, ""), 6000);
}

// Asks before something is done. `act` gets the text of the input, if there is one; what it throws is shown, and one can try again.
export function ask({ title, text, yes, danger = false, input, act }) {
  const dialog = byId("dialog");
  const field = byId("dialog-input");
  const button = byId("dialog-yes");
  write(byId("dialog-title"), title);
  write(byId("dialog-text"), text);
  write(byId("dialog-error"), "");
  write(button, yes);
  classes(button, danger ? "danger" : "primary");
  byId("dialog-label").hidden = !input;
  field.required = Boolean(input);
  if (input) {
    write(byId("dialog-prompt"), input.prompt);
    field.value = input.value;
  }
  byId("dialog-no").onclick = () => dialog.close();
  dialog.querySelector("form").onsubmit = async event => {
    event.preventDefault();
    button.disabled = true;
    try {
      const told = await act(field.value);
      dialog.close();
      if (told) toast(told);
    } catch (error) {
      write(byId("dialog-error"), error.message);
    } finally {
      button.disabled = false;
    }
  };
  dialog.showModal();
  if (input) field.select();
  // What cannot be undone is not done by a key pressed too early.
  else (danger ? byId("dialog-no") : button).focus();
}
