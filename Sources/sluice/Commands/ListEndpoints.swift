import ArgumentParser
import Endpoints

/// `sluice endpoints`: what kinds of destination there are.
struct ListEndpoints: RunnableCommand {
  static let configuration = CommandConfiguration(commandName: "endpoints", abstract: "List the kinds of destination, as JSON.")

  var verbosity: Messages.Verbosity { .normal }

  func execute(_ console: Console) async -> Int32 {
    guard let report = try? Report(path: nil, console.messages) else { return 0 }
    for type in builtInEndpoints {
      let kind = type.kind
      var text = JSONText()
      text.add("name", kind.name)
      text.add("kind", "built-in")
      text.add("schemes", json: JSONText.array(kind.schemes.map(\.name)))
      text.add("options", json: JSONText.array(kind.options))
      report.line(text.text)
    }
    for plugin in PluginProgram.all() {
      var text = JSONText()
      text.add("name", plugin.name)
      text.add("kind", "plugin")
      text.add("path", plugin.path)
      report.line(text.text)
    }
    return report.endOfList(0)
  }
}
