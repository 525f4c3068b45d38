// Controls of a picture: the page holds a template for every setting, the last control's first.
addEventListener("DOMContentLoaded", () => {
  for (const part of document.querySelectorAll(".gpt2course-frames")) {
    const shown = part.querySelector(":scope > .shown");
    const frames = part.querySelectorAll(":scope > template");
    const fields = [...part.querySelectorAll(".controls input, .controls select")];
    const show = () => {
      let frame = 0;
      for (const field of fields) {
        const names = field.dataset.names ? JSON.parse(field.dataset.names) : null;
        const at = names ? Number(field.value) : field.selectedIndex;
        frame = frame * (names ?? field.options).length + at;
        if (!names) continue;
        field.nextElementSibling.value = names[at];
        field.setAttribute("aria-valuetext", names[at]);
      }
      // What stands below does not jump.
      shown.style.minHeight = `${shown.offsetHeight}px`;
      shown.replaceChildren(frames[frame].content.cloneNode(true));
      reachWhatScrolls();
    };
    part.addEventListener("input", show);
    part.querySelector(".controls").hidden = false;
    show();
  }
});
