// What a real browser makes of a page: node look_at_page.mjs MODULES CHROMIUM PAGE OUT
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [modules, chromium, page_file, out] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const url = pathToFileURL(page_file).href;
const found = { console: [], errors: [], requests: [], modes: {} };
const browser = await puppeteer.launch({
  executablePath: chromium,
  headless: true,
  args: ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"],
});
for (const [name, width, scheme] of [["light", 1200, "light"], ["dark", 1200, "dark"], ["narrow", 360, "light"], ["narrow-dark", 360, "dark"]]) {
  const page = await browser.newPage();
  page.on("console", (message) => found.console.push(message.text()));
  page.on("pageerror", (error) => found.errors.push(String(error)));
  page.on("request", (request) => found.requests.push(request.url().slice(0, 200)));
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.setViewport({ width, height: 900 });
  await page.setOfflineMode(true);
  await page.goto(url, { waitUntil: "load" });
  const seen = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth,
    inner: window.innerWidth,
    tall: document.documentElement.scrollHeight,
    back: getComputedStyle(document.body).backgroundColor,
    title: document.title,
    outside: [...document.querySelectorAll("main *")].filter((e) => !e.closest(".scroll, .map") && e.getBoundingClientRect().right > window.innerWidth + 1).length,
    summary: document.querySelector(".tiles").getBoundingClientRect().bottom,
    numbers: [...document.querySelectorAll("data")].map((e) => [e.dataset.place, e.value, e.textContent]),
  }));
  await page.evaluate(axe);
  const judged = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  seen.violations = judged.violations.map((v) => `${v.id}: ${v.nodes.length}, ${v.nodes[0].html.slice(0, 160)}`);
  seen.rules = judged.passes.length;
  await page.screenshot({ path: `${out}/${name}.png`, fullPage: true });
  if (name === "light") {
    await page.emulateMediaType("print");
    seen.print = (await page.pdf({ path: `${out}/print.pdf`, format: "A4", printBackground: true })).length;
    await page.setViewport({ width: 794, height: 1123 });
    seen.printed = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    await page.screenshot({ path: `${out}/print.png`, fullPage: true });
  }
  found.modes[name] = seen;
  await page.close();
}
await browser.close();
console.log(JSON.stringify(found));
