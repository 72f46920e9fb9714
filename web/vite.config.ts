import compression from "compression";
import { defineConfig, type Connect, type Plugin } from "vite";

// With these a page may use threads. A host that does not send them works too, with one thread.
const headers = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

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
  build: { target: "es2022", license: { fileName: "licenses.md" }, chunkSizeWarningLimit: 1024, assetsInlineLimit: 0 },
  plugins: [compressed],
  worker: { format: "es" },
  server: { headers, fs: { allow: [".."] } },
  preview: { headers },
});
