// What looks at folders: report of one that runs and of several, export, watch.
#include <gtest/gtest.h>

#include <csignal>
#include <cmath>
#include <map>
#include <sstream>

#include "entk/io/csv.h"
#include "entk/io/run_folder.h"
#include "tests/apps/in_place.h"

namespace entk::pages_test {
namespace {

namespace fs = std::filesystem;
using namespace testing;
using testing::Words;

Words tiny(const std::string& out, const Words& more) {
  return Words{"train", "--quiet",          "--out", out,
               "--set", "model.width=20",   "--set", "data.dimension=4",
               "--set", "data.samples=20",  "--set", "data.test_samples=20",
               "--set", "projector.rank=5", "--set", "train.steps=5"} +
         more;
}

/// What one request gets: status line, headers and body.
std::string fetch(int port, const std::string& request) {
  static constexpr const char* script = R"py(
import socket, sys
s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 60)
s.sendall(sys.argv[2].encode())
data = b''
while chunk := s.recv(65536): data += chunk
print(data.decode())
)py";
  return run_program({ENTK_PYTHON, "-c", script, std::to_string(port), request}, "/", std::chrono::minutes(1)).output;
}

TEST(Pages, SeveralFoldersAreDrawnTogetherByWhereTheyDiffer) {
  const TemporaryFolder folder;
  ASSERT_TRUE(exits_with(entk_in_place(tiny("a", {"--sweep", "lambda.3=0,10", "--seeds", "1,2"}), folder.path()), 0));
  ASSERT_TRUE(exits_with(entk_in_place(tiny("b", {"--set", "train.learning_rate=0.5"}), folder.path()), 0));
  ASSERT_TRUE(exits_with(entk_in_place({"report", "a", "b", "--out", "both"}, folder.path()), 0));
  const auto table = read_text(folder / "both/results.csv");
  EXPECT_EQ(
      table.substr(0, table.find('\n')),
      "runs,λ3,η,training loss,training loss deviation,test loss,test loss deviation,R1,R1 deviation,R3,R3 deviation");
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 4);
  const auto page = read_text(folder / "both/report.html");
  EXPECT_NE(page.find("figure-joint"), std::string::npos);
  EXPECT_EQ(entk_in_place({"report", "a", "b", "--out", "both"}, folder.path()).status, 2);  // it exists
  EXPECT_EQ(entk_in_place({"report", "a", "nowhere"}, folder.path()).status, 2);
}

TEST(Pages, AnExportHasEveryRecordOfEveryRun) {
  const TemporaryFolder folder;
  ASSERT_TRUE(exits_with(entk_in_place(tiny("a", {"--sweep", "lambda.3=0,10", "--seeds", "1,2"}), folder.path()), 0));
  std::istringstream lines(entk_in_place({"export", "a"}, folder.path()).output);
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "run,lambda.3,seed,step,column,value");
  std::map<std::string, std::string> found;
  std::size_t count = 0;
  while (std::getline(lines, line)) ++count, found[line.substr(0, line.rfind(','))] = line.substr(line.rfind(',') + 1);
  EXPECT_EQ(found.size(), count) << "a row twice";
  std::size_t expected = 0;
  for (const char* run : {"lambda.3=0,seed=1", "lambda.3=0,seed=2", "lambda.3=10,seed=1", "lambda.3=10,seed=2"}) {
    const auto records = read_csv(folder / "a/runs" / run / "metrics.csv");
    for (const auto& row : records.rows) {
      for (std::size_t i = 1; i < row.size(); ++i) expected += !std::isnan(row[i]);
    }
  }
  EXPECT_EQ(count, expected);
  const auto last = read_csv(folder / "a/runs/lambda.3=10,seed=2/metrics.csv");
  EXPECT_EQ(std::stod(found.at("\"lambda.3=10,seed=2\",10.0,2,5,test_loss")), last.column("test_loss").back());
  EXPECT_EQ(entk_in_place({"export", "a", "--out", "t.csv"}, folder.path()).status, 0);
  EXPECT_EQ(entk_in_place({"export", "a", "--out", "t.csv"}, folder.path()).status, 2);
}

TEST(Pages, ARunningRunIsReportedAndWatchedAndItsFolderStaysAsItIs) {
  const TemporaryFolder folder;
  const auto run = start_entk(tiny("run", {"--set", "train.steps=100000000"}), folder.path());
  ASSERT_TRUE(wait_until([&] {
    return fs::exists(folder / "run/metrics.csv") && fs::exists(folder / "run/status.json") &&
           read_status(folder / "run").step > 0;
  })) << "status.json tells no step";
  EXPECT_EQ(read_status(folder / "run").state, RunState::running);
  fs::create_directory(folder / "watch");
  const auto watch = start_entk({"watch", "../run"}, folder / "watch");
  int port = 0;
  EXPECT_TRUE(wait_until([&] {
    return std::sscanf(read_text(folder / "watch/output.txt").c_str(), "entk: http://127.0.0.1:%d/", &port) == 1;
  }));
  const auto get = [&](const std::string& path, const std::string& host) {
    return fetch(port, "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n");
  };
  const auto here = "127.0.0.1:" + std::to_string(port);
  const auto page = get("/", here);
  EXPECT_TRUE(page.starts_with("HTTP/1.1 200")) << page.substr(0, 300);
  EXPECT_NE(page.find("Refresh: 5"), std::string::npos);
  EXPECT_NE(page.find("Final values"), std::string::npos);
  EXPECT_FALSE(fs::exists(folder / "run/report.html")) << "watch wrote into the folder";
  for (const char* host : {"evil.example", "evil.example:80", ""})
    EXPECT_TRUE(get("/", host).starts_with("HTTP/1.1 403")) << host;
  for (const char* path : {"/../output.txt", "/config.json", "//etc/passwd", "/%2e%2e/output.txt"})
    EXPECT_FALSE(get(path, here).starts_with("HTTP/1.1 200")) << path;
  EXPECT_FALSE(fetch(port, "POST / HTTP/1.1\r\nHost: " + here + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                   .starts_with("HTTP/1.1 200"));
  ::kill(watch, SIGINT);
  wait_for(watch);
  EXPECT_EQ(entk_in_place({"watch", "nowhere"}, folder.path()).status, 2);

  const auto report = entk_in_place({"report", "run"}, folder.path());
  EXPECT_TRUE(exits_with(report, 0));
  EXPECT_TRUE(says(report, "what there is so far"));
  EXPECT_TRUE(fs::exists(folder / "run/report.html"));
  ::kill(run, SIGKILL);
  wait_for(run);
}

}  // namespace
}  // namespace entk::pages_test
