// entk watch: a run's or a study's page over HTTP while it runs. Reads the folder and writes nothing there; 127.0.0.1
// alone, and no request that a page of another host could have sent.
#include <fmt/format.h>
#include <httplib.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <thread>

#include "entk/io/atomic_file.h"
#include "entk/io/scratch_folder.h"
#include "entk/program/commands.h"
#include "entk/program/console.h"
#include "entk/program/signals.h"
#include "entk/report/text.h"
#include "entk/studies/studies.h"

namespace entk::app {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// A page that is made again when it is asked for and old, in a temporary folder.
class FreshPage {
 public:
  FreshPage(fs::path folder, const Program& program) : folder_(std::move(folder)), program_(program) {}

  std::string text() {
    const std::lock_guard lock(mutex_);
    if (!text_.empty() && Clock::now() - made_ < std::chrono::seconds(4)) return text_;
    try {
      write_page_of(folder_, place_.path(), program_.catalogue, program_.studies);
      text_ = read_file(place_.path() / "report.html");
    } catch (const Error& e) {  // a run that has just begun, say
      text_ = fmt::format("<!DOCTYPE html><meta charset=\"utf-8\"><title>entk watch</title><p>{}</p>",
                          escape_html(e.what()));
    }
    made_ = Clock::now();
    return text_;
  }

 private:
  fs::path folder_;
  ScratchFolder place_{"entk-watch-"};
  const Program& program_;
  std::mutex mutex_;
  std::string text_;
  Clock::time_point made_{};
};

ExitCode watch(const std::string& folder, int port, const Program& program) {
  if (!fs::exists(fs::path(folder) / "config.json")) {
    throw InputError(fmt::format("{}: expected the folder of a run or a study, with a config.json", folder));
  }
  FreshPage page(folder, program);
  httplib::Server server;
  int bound = port;
  if (port == 0) {
    bound = server.bind_to_any_port("127.0.0.1");
  } else if (!server.bind_to_port("127.0.0.1", port)) {
    bound = -1;
  }
  if (bound <= 0) throw InputError(fmt::format("--port: 127.0.0.1:{} cannot be had: another program may use it", port));
  // A name that another host gave to 127.0.0.1 comes with that name.
  server.set_pre_routing_handler([bound](const httplib::Request& request, httplib::Response& response) {
    const auto host = request.get_header_value("Host");
    if (host == fmt::format("127.0.0.1:{}", bound) || host == fmt::format("localhost:{}", bound))
      return httplib::Server::HandlerResponse::Unhandled;
    response.status = 403;
    return httplib::Server::HandlerResponse::Handled;
  });
  server.Get("/", [&](const httplib::Request&, httplib::Response& response) {
    response.set_header("Refresh", "5");
    response.set_header("Cache-Control", "no-store");
    response.set_content(page.text(), "text/html; charset=utf-8");
  });
  say(fmt::format("http://127.0.0.1:{}/ shows {}; Ctrl-C ends it", bound, folder));
  std::thread stop([&] {
    while (caught_signal() == 0 && !server.is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    while (caught_signal() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(50));
    server.stop();
  });
  server.listen_after_bind();
  stop.join();
  return ExitCode::ok;
}

}  // namespace

void add_watch(CLI::App& app, Program& program) {
  auto* command = app.add_subcommand("watch", "Show a run's or study's page on 127.0.0.1 while it runs");
  const auto folder = std::make_shared<std::string>();
  const auto port = std::make_shared<int>(0);
  command->add_option("DIR", *folder, "folder of a run or a study")->required();
  command->add_option("--port", *port, "of 127.0.0.1; 0: any that is free [0]")
      ->type_name("N")
      ->check(CLI::Range(0, 65535));
  command->callback([=, &program] { program.action = [=, &program] { return watch(*folder, *port, program); }; });
}

}  // namespace entk::app
