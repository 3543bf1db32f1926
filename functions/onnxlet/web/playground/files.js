// Files that the reader drops or pastes anywhere on the page.

/** Accepts dropped files, which the browser would otherwise open; calls onFile. */
export function takeDrops(onFile) {
  const hasFiles = (event) => event.dataTransfer.types.includes("Files");
  const mark = (isOver) => document.body.classList.toggle("over", isOver);
  document.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    mark(true);
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) mark(false); });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    mark(false);
    if (event.dataTransfer.files.length) onFile(event.dataTransfer.files[0]);
  });
}

/** Accepts pasted files; calls onFile. */
export function takePastes(onFile) {
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (file) onFile(file);
  });
}
