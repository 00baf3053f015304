/** What the build says of the browser that it is for. */
interface ImportMetaEnv {
  readonly FIREFOX: boolean;
}
interface ImportMeta {
  readonly env: ImportMetaEnv;
}
