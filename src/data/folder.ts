/** A place with named files, so that models and runs load from a disk, a page's storage or memory alike. */
export interface Folder {
  /** How a person would name the folder, for messages. */
  readonly name: string;
  exists(path: string): Promise<boolean>;
  /** The whole file; throws a UserError that names the file when it is missing. */
  read(path: string): Promise<Uint8Array>;
  readText(path: string): Promise<string>;
  /** Bytes of the file; throws as `read` does. */
  size(path: string): Promise<number>;
  /** Bytes [begin, end) of the file; throws a UserError when it has fewer. */
  readRange(path: string, begin: number, end: number): Promise<Uint8Array>;
}

export interface WritableFolder extends Folder {
  /** Replaces the file in one step: a reader, or a run killed meanwhile, sees the old content or the new. */
  write(path: string, content: Uint8Array | string): Promise<void>;
  /** Adds to the end of a file, which is made when absent. */
  append(path: string, content: string): Promise<void>;
  remove(path: string): Promise<void>;
}

/** The part of a folder below a path. */
export function subfolder(folder: WritableFolder, path: string): WritableFolder {
  const below = (file: string) => `${path}/${file}`;
  return {
    name: `${folder.name}/${path}`,
    exists: (file) => folder.exists(below(file)),
    read: (file) => folder.read(below(file)),
    readText: (file) => folder.readText(below(file)),
    size: (file) => folder.size(below(file)),
    readRange: (file, begin, end) => folder.readRange(below(file), begin, end),
    write: (file, content) => folder.write(below(file), content),
    append: (file, content) => folder.append(below(file), content),
    remove: (file) => folder.remove(below(file)),
  };
}
