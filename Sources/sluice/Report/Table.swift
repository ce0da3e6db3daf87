import BytePath

/// Columns for people.
enum Table {
  /// The first row is the header. The last column may have any width.
  ///
  /// - Parameter columns: those whose texts end where the others end, as figures do.
  static func lines(_ rows: [[String]], endingTogether columns: Set<Int>) -> [String] {
    let widths = (rows.first ?? []).indices.dropLast().map { column in rows.lazy.map { ProgressLine.width($0[column]) }.max() ?? 0 }
    return rows.map { row in
      let cells = row.enumerated().map { column, text in
        guard column < widths.count else { return text }
        let gap = String(repeating: " ", count: widths[column] - ProgressLine.width(text))
        return columns.contains(column) ? gap + text : text + gap
      }
      return cells.joined(separator: "  ")
    }
  }
}
