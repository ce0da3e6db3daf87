extension RetryTable {
  /// SiYuan: `code` of an answer with status 200 (kernel/api/file.go).
  static let siYuan = [
    // A path was sent: the form arrived damaged.
    Rule(codes: 400...400, words: ["path must not be empty"], verdict: .mayPass),
    Rule(
      codes: -1 ... -1,
      words: ["read-only mode", "no space", "quota", "not a directory", "file exists", "permission denied", "name too long"],
      verdict: .refusal
    ),
    Rule(codes: -1 ... -1, verdict: .mayPass),
    Rule(codes: 500...500, verdict: .mayPass),
    Rule(codes: .min ... .max, verdict: .refusal),
  ]
}
