import { defineConfig } from 'vite'

// A running server, for `npm run dev`.
const server = process.env.POSTRIDER_SERVER ?? 'http://127.0.0.1:8000'

// The server knows each file by its name (src/api/web.rs), and the build is compared with the committed one.
export default defineConfig({
  base: './',
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact', legalComments: 'none' },
  server: { proxy: { '^/(?!@|src/|node_modules/|icon\\.svg|index\\.html|$|\\?|#)': server } },
  preview: { proxy: { '^/(?!app\\.|plot\\.js|icon\\.svg|index\\.html|$)': server } },
  build: {
    target: ['chrome123', 'firefox120', 'safari17.5'],
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    reportCompressedSize: true,
    rollupOptions: {
      output: {
        entryFileNames: 'app.js',
        chunkFileNames: '[name].js',
        assetFileNames: (asset) => (asset.names[0]?.endsWith('.css') ? 'app.css' : '[name][extname]'),
      },
    },
  },
})
