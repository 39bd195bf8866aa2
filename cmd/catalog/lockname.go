package catalog

// LockFile is the name of the lock in the folder of a store.
const LockFile = lockFile
