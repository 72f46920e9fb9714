declare module "gltf-validator" {
  export function validateBytes(content: Uint8Array): Promise<{ issues: { messages: { severity: number }[] } }>;
}
