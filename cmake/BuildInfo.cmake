# Writes the git revision into a header at build time, touching it only when it changes.
# Run with -DSOURCE_DIR= -DOUTPUT=.
execute_process(COMMAND git -C "${SOURCE_DIR}" rev-parse --short=12 HEAD
                OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
set(dirty 0)
if(failed OR revision STREQUAL "")
  set(revision "unknown")
else()
  execute_process(COMMAND git -C "${SOURCE_DIR}" status --porcelain --untracked-files=no
                  OUTPUT_VARIABLE changes OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(NOT changes STREQUAL "")
    set(dirty 1)
  endif()
endif()
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT
  "#define ENTK_GIT_REVISION \"${revision}\"\n#define ENTK_GIT_DIRTY ${dirty}\n")
