import ArgumentParser

/// Who may log in, and what they may do.
struct AccountOptions: ParsableArguments, Sendable {
  @Option(help: ArgumentHelp("AList's static token and SiYuan's API token.", valueName: "t"))
  var token = "loopback-token"

  @Option(help: ArgumentHelp("Name for AList's login.", valueName: "u"))
  var username = "admin"

  @Option(help: ArgumentHelp("Password for AList's login.", valueName: "p"))
  var password = "loopback-password"

  @Option(help: ArgumentHelp("AList's login needs this one-time code as well.", valueName: "code"))
  var otp: String?

  @Option(help: ArgumentHelp("A token from login expires after so many requests.", valueName: "n"))
  var expireTokenAfter: Int?

  @Option(
    help: ArgumentHelp(
      "AList permission bits of the user, an integer (3 upload, 4 rename, 5 move, 7 remove, 8/9 WebDAV).", valueName: "bits"))
  var permission: Int?

  @Option(
    parsing: .singleValue,
    help: ArgumentHelp("AList path below which nobody may write. May be given again.", valueName: "prefix"))
  var noWrite: [String] = []

  @Option(
    parsing: .singleValue,
    help: ArgumentHelp(
      "AList path below which one may upload whatever --permission says: by a role in AList, by a rule of the folder in OpenList. May be given again.",
      valueName: "prefix"))
  var mayWrite: [String] = []

  @Option(help: ArgumentHelp("The folder of AList that is the user's root, which need not be there yet.", valueName: "path"))
  var home = ""

  /// With a slash at its start and none at its end, or nothing.
  var cleanHome: String { home.split(separator: "/").map { "/" + $0 }.joined() }

  @Flag(help: "AList's guest is enabled: no Authorization is needed.")
  var guest = false

  @Flag(help: "SiYuan lets requests without any token pass, as a kernel without a lock password does.")
  var open = false

  @Flag(help: "Nobody may write: SiYuan in read-only mode, AList answers 403.")
  var readOnly = false
}
