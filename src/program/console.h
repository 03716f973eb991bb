// Talk on stderr, results on stdout.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "entk/runs/run.h"
#include "entk/report/table.h"

namespace entk::app {

/// Progress and notices of runs side by side: one line that is rewritten on a terminal, plain lines
/// elsewhere.
class Console {
 public:
  Console(bool quiet, bool verbose, std::size_t runs);
  ~Console();

  void progress(const std::string& run, const Record& record, std::int64_t steps, double seconds_left);
  /// Once for each different text.
  void notice(const std::string& run, const std::string& text);
  void line(const std::string& text);

 private:
  void clear_line();

  bool quiet_, verbose_, terminal_, open_line_ = false;
  std::size_t runs_;
  std::mutex mutex_;
  std::map<std::string, bool> said_;
  std::map<std::string, double> last_said_;
};

/// A message on stderr: "entk: …".
void say(const std::string& text);
/// A duration for people: 42 s, 3 min 10 s, 2 h 5 min.
std::string duration(double seconds);

}  // namespace entk::app
