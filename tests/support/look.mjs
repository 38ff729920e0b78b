// Opens a page as phones and desktops do, in light and dark, and on paper. Writes pictures to look at; fails when the
// page scrolls sideways, asks for anything but itself, or axe-core finds something serious.
// node tests/support/look.mjs PAGE FOLDER; FOLDER holds node_modules with playwright-core and axe-core.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import fs from "node:fs";
import path from "node:path";

const [page, folder] = process.argv.slice(2).map((argument) => path.resolve(argument));
const require = createRequire(folder + path.sep);
const { chromium } = require("playwright-core");
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const args = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"];
args.push("--disable-background-networking", "--disable-component-update", "--disable-sync");
const browser = await chromium.launch({ executablePath, args });
const wrong = [];
for (const width of [320, 390, 1280]) {
  for (const colorScheme of ["light", "dark"]) {
    const where = `${width}-${colorScheme}`;
    const viewport = { width, height: 844 };
    const context = await browser.newContext({ viewport, colorScheme, bypassCSP: true });
    const tab = await context.newPage();
    const asked = [];
    tab.on("request", (request) => asked.push(request.url()));
    await tab.goto(pathToFileURL(page).href);
    await tab.evaluate(() => document.querySelectorAll("details").forEach((part) => (part.open = true)));
    const wide = await tab.evaluate(() => document.documentElement.scrollWidth);
    if (wide > width) wrong.push(`${where}: ${wide} px wide`);
    // A cell that ends outside the page, or outside a box that scrolls or clips, cannot be read without a gesture.
    const cut = await tab.evaluate(() =>
      [...document.querySelectorAll("th, td, dd, p, figcaption, summary, code, .mark")].filter((part) => {
        if (part.closest("thead") && getComputedStyle(part.closest("thead")).position === "absolute") return false;
        const { left, right } = part.getBoundingClientRect();
        let [from, to] = [0, document.documentElement.clientWidth];
        for (let box = part.parentElement; box; box = box.parentElement) {
          if (getComputedStyle(box).overflowX === "visible") continue;
          from = Math.max(from, box.getBoundingClientRect().left);
          to = Math.min(to, box.getBoundingClientRect().right);
        }
        return left < from - 1 || right > to + 1 || part.scrollWidth > part.clientWidth + 1 && part.clientWidth > 0;
      }).map((part) => part.textContent.trim().slice(0, 60)),
    );
    cut.slice(0, 5).forEach((text) => wrong.push(`${where}: cut: ${text}`));
    if (asked.filter((url) => !url.startsWith("data:")).length > 1) wrong.push(`${where}: asks for ${asked.slice(1)}`);
    await tab.evaluate(axe);
    const { violations, passes } = await tab.evaluate(() => axe.run());
    const heavy = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    heavy.forEach(({ id, nodes }) => wrong.push(`${where}: ${id}: ${nodes[0].html.slice(0, 200)}`));
    console.log(`${where}: ${passes.length} accessibility rules passed, ${violations.length} not`);
    await tab.screenshot({ path: path.join(folder, `${where}.png`), fullPage: true });
    await context.close();
  }
}
const tab = await browser.newPage();
await tab.goto(pathToFileURL(page).href);
await tab.pdf({ path: path.join(folder, "print.pdf"), format: "A4" });
await browser.close();
wrong.forEach((line) => console.error(`error: ${line}`));
process.exit(wrong.length ? 1 : 0);
