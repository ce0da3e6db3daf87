import ArgumentParser
import BytePath
import Endpoints

/// `sluice endpoints`: what kinds of destination there are.
struct ListEndpoints: RunnableCommand {
  static let configuration = CommandConfiguration(commandName: "endpoints", abstract: "List the kinds of destination, as JSON.")

  var verbosity: Messages.Verbosity { .normal }

  func execute(_ console: Console) async -> Int32 {
    guard let report = try? Report(path: nil, console.messages) else { return 0 }
    for type in builtInEndpoints {
      let kind = type.kind
      let line: JSONValue = [
        "name": .string(kind.name), "kind": "built-in", "schemes": JSONValue(kind.schemes.map(\.name)),
        "options": JSONValue(kind.options.map(\.key)),
      ]
      report.line(line.text)
    }
    for plugin in PluginProgram.all() {
      let line: JSONValue = ["name": .string(plugin.name), "kind": "plugin", "path": .string(plugin.path)]
      report.line(line.text)
    }
    return report.endOfList(0)
  }
}
