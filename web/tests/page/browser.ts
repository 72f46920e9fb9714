/** The page in headless Chromium. */

import { readFile } from "node:fs/promises";
import { chromium, type Browser, type Download, type Page } from "playwright-core";
import { inject } from "vitest";

const EXECUTABLE = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"];

/** An open page, and what went wrong in it. */
export interface Opened {
  browser: Browser;
  page: Page;
  /** Errors of the console, and of scripts. */
  errors: string[];
  /** Addresses that are not of this machine. */
  elsewhere: string[];
}

/** Open the page; `args` are Chromium's, `permissions` of the page. */
export async function openPage(args: string[] = [], permissions: string[] = []): Promise<Opened> {
  const browser = await chromium.launch({ executablePath: EXECUTABLE, args: [...QUIET, ...args] });
  const context = await browser.newContext({ permissions, viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  const opened: Opened = { browser, page, errors: [], elsewhere: [] };
  page.on("console", (message) => message.type() === "error" && opened.errors.push(message.text()));
  page.on("pageerror", (error) => opened.errors.push(error.message));
  page.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (!["data:", "blob:"].includes(protocol) && hostname !== "localhost") opened.elsewhere.push(request.url());
  });
  await page.goto(inject("url"));
  return opened;
}

/** Open the page and wait until the networks are loaded. */
export async function openReadyPage(args: string[] = [], permissions: string[] = []): Promise<Opened> {
  const opened = await openPage(args, permissions);
  await opened.page.waitForSelector("body[data-ready]", { timeout: 60_000 });
  return opened;
}

/** Wait until the status says something. */
export async function waitForStatus(page: Page, pattern: RegExp): Promise<string> {
  const status = page.locator("#status", { hasText: pattern });
  await status.waitFor({ timeout: 60_000 });
  return (await status.textContent()) ?? "";
}

/** The file that a button gives. */
export async function downloaded(page: Page, button: string): Promise<{ name: string; content: Uint8Array }> {
  const [download]: [Download, void] = await Promise.all([page.waitForEvent("download"), page.click(button)]);
  return { name: download.suggestedFilename(), content: new Uint8Array(await readFile(await download.path())) };
}
