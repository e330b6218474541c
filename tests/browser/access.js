// Finds what a person with a screen reader, or with poor sight, would miss: controls without a name, and text whose contrast
// is below that of WCAG 2.2, level AA. Returns sentences.
const problems = [];
const isVisible = node => node.checkVisibility() && node.getClientRects().length > 0;
const nameOf = node => node.getAttribute("aria-label") || node.textContent.trim() ||
  (node.labels && [...node.labels].map(label => label.textContent).join(" ").trim()) ||
  (node.getAttribute("aria-labelledby") || "").split(" ").map(id => document.getElementById(id)?.textContent ?? "").join("");
for (const node of document.querySelectorAll("button, input, textarea, select, [role=log], nav, section")) {
  // A select contains its options, and a textarea may contain what is written: these are no names.
  const own = /select|textarea/i.test(node.tagName) ? node.getAttribute("aria-label") : nameOf(node);
  if (isVisible(node) && !own) problems.push(`no name: ${node.outerHTML.slice(0, 100)}`);
}
const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
const channels = color => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const luminance = ([red, green, blue]) => [red, green, blue]
  .map(value => value / 255)
  .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
  .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
const backgroundOf = node => {
  for (let at = node; at; at = at.parentElement) {
    const color = channels(getComputedStyle(at).backgroundColor);
    if (color[3] === 255) return color;
  }
  return [255, 255, 255];
};
for (const node of document.querySelectorAll("body *")) {
  const hasText = [...node.childNodes].some(child => child.nodeType === Node.TEXT_NODE && child.data.trim());
  if (!isVisible(node) || (!hasText && !node.value)) continue;
  const [one, other] = [channels(getComputedStyle(node).color), backgroundOf(node)].map(luminance);
  const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  if (contrast < 4.5) problems.push(`contrast ${contrast.toFixed(2)}: ${node.outerHTML.slice(0, 100)}`);
}
return problems;
