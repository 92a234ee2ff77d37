"use strict";
// Puts what /events tells in place of what is there, and says when it has heard nothing for too long. Without it, the page
// is as true as when it was loaded.
(() => {
  const SILENCE = 12000; // the server says something every 4 s
  const AGAIN = 3000;
  const root = document.documentElement;
  const connection = document.getElementById("connection");
  let source = null;
  let heard = 0;
  let again = 0;
  let said = "";

  const say = (state, text) => {
    root.className = state;
    // a text that is set again would be read out again
    if (text !== said) connection.textContent = said = text;
  };

  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const flash = (cell) => {
    const accent = getComputedStyle(root).getPropertyValue("--accent");
    if (!still.matches) cell.animate([{ boxShadow: `0 0 0 4px ${accent}` }, { boxShadow: "0 0 0 0 transparent" }], 2500);
  };

  // Makes one tree like another, and leaves alone what is equal: focus, selection and what is opened stay.
  const patch = (mine, theirs) => {
    if (mine.isEqualNode(theirs)) return;
    if (mine.nodeType !== theirs.nodeType || mine.nodeName !== theirs.nodeName) return mine.replaceWith(theirs);
    if (mine.nodeType !== Node.ELEMENT_NODE) {
      mine.data = theirs.data;
      return;
    }
    if (mine.classList.contains("cell")) {
      mine.replaceWith(theirs);
      return flash(theirs);
    }
    for (const { name } of [...mine.attributes]) {
      if (name !== "open" && !theirs.hasAttribute(name)) mine.removeAttribute(name);
    }
    for (const { name, value } of theirs.attributes) {
      if (mine.getAttribute(name) !== value) mine.setAttribute(name, value);
    }
    children(mine, theirs);
  };

  const key = (node) => node.dataset?.key;

  const children = (mine, theirs) => {
    const known = new Map();
    for (const child of mine.children) if (key(child)) known.set(key(child), child);
    let at = mine.firstChild;
    for (const child of [...theirs.childNodes]) {
      const same = known.get(key(child));
      if (same) {
        known.delete(key(child));
        if (same === at) at = at.nextSibling;
        else mine.insertBefore(same, at);
        patch(same, child);
      } else if (key(child) || !at || key(at)) {
        mine.insertBefore(child, at);
      } else {
        const next = at.nextSibling;
        patch(at, child);
        at = next;
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  };

  const show = (event) => {
    listen();
    const text = new DOMParser().parseFromString(event.data, "text/html");
    const part = document.getElementById(event.type);
    // a part that was not there when the page was loaded, or is not any more
    if (!part) return location.reload();
    children(part, text.body);
  };

  const listen = () => {
    heard = Date.now();
    say("live", "Live: this page follows the cluster by itself.");
  };

  const lost = () => {
    source?.close();
    source = null;
    again = Date.now() + AGAIN;
    const at = heard ? new Date(heard) : null;
    const when = at ? "This is how it was at " + at.toISOString().slice(11, 19) + " UTC. " : "";
    say("stale", "Not live: berth is not heard. " + when + "Trying again…");
  };

  const connect = () => {
    source = new EventSource("/events");
    source.onerror = lost;
    source.addEventListener("beat", listen);
    for (const part of ["state", "wrong", "pools", "classes", "decisions"]) source.addEventListener(part, show);
  };

  setInterval(() => {
    const now = Date.now();
    if (source) {
      if (heard && now - heard > SILENCE) lost();
    } else if (now >= again) {
      connect();
    }
  }, 500);
  connect();
})();
