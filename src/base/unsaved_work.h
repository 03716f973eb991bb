// What a process that is told to stop waits for.
#pragma once

#include <atomic>

namespace entk {

/// While one of these lives there is work, as the steps since the last checkpoint, that its owner saves soon after it
/// is told to stop. Without one a process may leave at once and loses nothing that a resumed run does not make again.
class UnsavedWork {
 public:
  UnsavedWork() { ++count_; }
  ~UnsavedWork() { --count_; }
  UnsavedWork(const UnsavedWork&) = delete;
  UnsavedWork& operator=(const UnsavedWork&) = delete;

  static bool exists() { return count_ > 0; }

 private:
  inline static std::atomic<int> count_{0};
};

}  // namespace entk
