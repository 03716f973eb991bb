# The target compile_time: how long the umbrella header takes to parse, LibTorch's own beside it.
set(_entk_includes "$<TARGET_PROPERTY:entk,INTERFACE_INCLUDE_DIRECTORIES>")
set(_entk_headers entk/entk.h entk/models/taylor_model.h torch/types.h torch/torch.h)
set(_entk_commands "")
foreach(_entk_header IN LISTS _entk_headers)
  set(_entk_source "${PROJECT_BINARY_DIR}/compile_time/${_entk_header}.cpp")
  file(CONFIGURE OUTPUT "${_entk_source}" CONTENT "#include <${_entk_header}>\n")
  # The compiler itself, not ccache; CMake's clock has whole seconds, bash's has thousandths.
  list(APPEND _entk_commands COMMAND bash -c "TIMEFORMAT='%R s  <${_entk_header}>'; time \"$@\"" bash
       ${CMAKE_CXX_COMPILER} -std=c++20 -fsyntax-only "-I$<JOIN:${_entk_includes},;-I>" "${_entk_source}")
endforeach()
add_custom_target(compile_time ${_entk_commands} COMMAND_EXPAND_LISTS VERBATIM USES_TERMINAL
                  COMMENT "Parse time of headers, from source file to syntax check")
