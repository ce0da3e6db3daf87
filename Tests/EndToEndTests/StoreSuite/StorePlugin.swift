import Foundation
import Support

/// The plugin of the tests: a shell script that keeps objects as files of a folder, whole or not at all.
extension StoreBench {
  /// What it is told to do wrong, and what it is doing.
  private var state: String { "\(box.work)/plugin" }

  func writePlugin() throws {
    try makeDirectory(state)
    let script = """
      #!/bin/sh
      state='\(state)' target='\(folder ?? "")'/$SLUICE_PATH part='\(folder ?? "")/.part.'$$
      may_replace() { [ "$SLUICE_OVERWRITE" = true ] || [ ! -e "$target" ] || { echo "$SLUICE_PATH is there" >&2; exit 73; }; }
      case $1 in
        check) may_replace; [ ! -e "$state/verbs" ] || cat "$state/verbs"; exit 0 ;;
        put) ;;
        stat|get)
          [ -e "$target" ] || exit 66
          case $1 in
            get) [ -f "$target" ] || exit 73; tail -c "+$((${SLUICE_OFFSET:-0} + 1))" "$target" | head -c "${SLUICE_LENGTH:-9999999999}" ;;
            stat) [ -f "$target" ] && stat -c '{"size":%s,"version":"%i %.9Y"}' "$target" || echo '{"directory":true}' ;;
          esac
          exit 0 ;;
        list)
          [ -d "$target" ] || exit 66
          find "$target" -mindepth 1 -maxdepth 1 ! -name '.*' -printf '%s %f\\n' |
            sed 's/[\\\\"]/\\\\&/g; s/^\\([0-9]*\\) \\(.*\\)$/{"size":\\1,"name":"\\2"}/'
          exit ;;
        *) exit 64 ;;
      esac
      # When sluice is killed it goes on, and nobody reads what it says: who looks at the store waits for its end.
      trap '' PIPE
      : > "$state/busy.$$"
      trap 'rm -f "$state/busy.$$"' EXIT
      fault='' number='' times=''
      [ ! -e "$state/fault" ] || read -r fault number times < "$state/fault"
      if [ "${times:-0}" -gt 0 ]; then
        echo "$fault $number $((times - 1))" > "$state/fault"
        case $fault in
          cut) head -c "$number" > "$part"; exit 75 ;;
          early) exit "$number" ;;
          failed) cat > /dev/null; exit "$number" ;;
          stalled) head -c "$number" > "$part"; while [ -e "$state/fault" ]; do sleep 0.02; done; exit 75 ;;
        esac
      else
        fault=''
      fi
      may_replace
      { mkdir -p "${target%/*}" && cat > "$part" && mv -f "$part" "$target"; } || { rm -f "$part"; exit 73; }
      case $fault in
        lost) exit 75 ;;
        half) printf '{"id":' ;;
        *) printf '{"id":1}\\n' ;;
      esac
      """
    try box.file("bin/sluice-endpoint-\(StoreBench.plugin)", script + "\n", mode: 0o755)
  }

  /// Tells it what to do wrong, and how often.
  func harmPlugin(_ fault: StoreFault, _ times: Int) throws {
    let words =
      switch fault {
      case .cut(.after(let bytes)): "cut \(bytes)"
      case .refusedEarly(let status): "early \(StoreBench.exit(for: status))"
      case .failed(let status): "failed \(StoreBench.exit(for: status))"
      case .lostAnswer: "lost 0"
      case .cutAnswer: "half 0"
      case .stalled(let bytes): "stalled \(bytes)"
      default: throw ProgramError(description: "a plugin can't do this: \(fault)")
      }
    try write(Array("\(words) \(times)\n".utf8), to: "\(state)/fault")
  }

  /// From now on it can be asked what it has, as it could not before.
  func teachPlugin() throws {
    try write(Array(#"{"verbs":["stat","get","list"]}"#.utf8), to: "\(state)/verbs")
  }

  func healPlugin() throws { try write([], to: "\(state)/fault") }

  /// The exit status that means to a plugin what a status of HTTP means.
  private static func exit(for status: Int) -> Int {
    switch status {
    case 403: 77
    case 500...: 75
    default: 73
    }
  }

  /// Waits until nobody works on the store any more whom a kill of the client has left behind.
  func settled() async throws {
    guard server == .plugin else { return }
    try await eventually("the plugin has ended") { !Support.names(in: state).contains { $0.hasPrefix("busy") } }
  }
}
