import { existsSync, readdirSync, readFileSync } from "node:fs";
import compression from "compression";
import { defineConfig, type Connect, type Plugin } from "vite";

// With these a page may use threads. A host that does not send them works too, with one thread.
const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

/** Licences of all that the page is made of, those of its worker and of its networks too. */
const licences: Plugin = {
  name: "licences",
  generateBundle() {
    const { packages } = JSON.parse(readFileSync("package-lock.json", "utf-8")) as { packages: Record<string, { dev?: boolean }> };
    const own = Object.keys(packages).filter((folder) => folder && !packages[folder].dev && existsSync(folder));
    const texts = own.map((folder) => {
      const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf-8"));
      const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
      return `# ${name} ${version}: ${license}\n\n${file ? readFileSync(`${folder}/${file}`, "utf-8") : ""}`;
    });
    texts.unshift(`# handmesh: MIT\n\n${readFileSync("../LICENSE", "utf-8")}`);
    texts.push(`# networks, from MediaPipe: Apache-2.0\n\n${readFileSync("../handmesh/data/LICENSE", "utf-8")}`);
    this.emitFile({ type: "asset", fileName: "licenses.txt", source: texts.join("\n\n") });
  },
};

const compressed: Plugin = {
  name: "compressed",
  configurePreviewServer: ({ middlewares }) => {
    middlewares.use(compression() as Connect.NextHandleFunction);
  },
};

export default defineConfig({
  base: "./", // any folder of any static host
  assetsInclude: ["**/*.onnx", "**/*.npz"],
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", "import", "module", "browser", "default"] },
  build: { target: "es2022", chunkSizeWarningLimit: 1024, assetsInlineLimit: 0 },
  plugins: [licences, compressed],
  worker: { format: "es" },
  server: { headers, fs: { allow: [".."] } },
  preview: { headers },
});
