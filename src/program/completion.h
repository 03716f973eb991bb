// Bash completion, from the options that the program has.
#pragma once

#include <CLI/CLI.hpp>

#include <cctype>
#include <string>

namespace entk::app {

inline std::string bash_completion(const CLI::App& app) {
  const auto options_of = [](const CLI::App& command) {
    std::string words;
    for (const auto* option : command.get_options()) {
      for (const auto& name : option->get_lnames()) words += " --" + name;
    }
    return words;
  };
  std::string commands, cases;
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    commands += " " + command->get_name();
    cases += "    " + command->get_name() + ") words=\"" + options_of(*command) + "\" ;;\n";
  }
  auto function = "_" + app.get_name();
  for (char& c : function) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return "# bash completion for " + app.get_name() + "\n" + function +
         "() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} words=\"\"\n"
         "  case ${COMP_WORDS[1]} in\n" +
         cases + "  esac\n  if [ \"$COMP_CWORD\" -eq 1 ]; then words=\"" + commands + options_of(app) +
         "\"; fi\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
         "  case $word in -*) ;; *) [ \"$COMP_CWORD\" -gt 1 ] && COMPREPLY+=($(compgen -f -- \"$word\")) ;; esac\n"
         "}\n"
         "complete -o filenames -F " +
         function + " " + app.get_name() + "\n";
}

}  // namespace entk::app
