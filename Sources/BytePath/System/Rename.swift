import CFiles

/// Gives the file `name` of the folder that `folder` is the name `path`, but only if nothing has that. At no moment is anything else there: not
/// an empty file that takes the name first, not a second name of the file where the system renames in one step.
///
/// - Throws: `EEXIST` if something has the name, `EOPNOTSUPP` where the file system has no way to do this.
public func renameWithoutReplacing(_ name: String, in folder: CInt = AT_FDCWD, to path: String) throws(SystemError) {
  if rename_without_replacing(folder, name, AT_FDCWD, path) == 0 { return }
  // Old kernels, NFS, many FUSE file systems; and some filters of system calls forbid what they do not know.
  guard [EINVAL, ENOSYS, EOPNOTSUPP, EPERM].contains(errno) else { throw SystemError("rename", errno) }
  guard linkat(folder, name, AT_FDCWD, path, 0) == 0 else {
    let isUnable = [EPERM, EOPNOTSUPP, ENOSYS, EINVAL, EMLINK].contains(errno)
    throw SystemError("link", isUnable ? EOPNOTSUPP : errno)
  }
  _ = unlinkat(folder, name, 0)
}
