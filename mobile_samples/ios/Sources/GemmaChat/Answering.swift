import GemmaCore

/// The chat.
extension Presenter {
    func answer(_ text: String, _ picture: Picture?) async {
        guard let chat else { return update { $0.answering = false } }
        do {
            let answer = try await chat.say(text, pictures: picture.map { [$0.file.path] } ?? []) { @MainActor piece in
                self.last { $0.text += piece }
            }
            last {
                $0.text = answer.text
                $0.speed = answer.speed
                $0.stopped = answer.ending == .cancelled
                $0.cut = answer.ending == .limit ? .limit : answer.ending == .context ? .context : nil
            }
            update { $0.answering = false }
        } catch EngineError.contextFull(let why) {
            // Where nothing was said yet, a new chat has no more room.
            let first = await chat.turns.isEmpty
            unanswered(text, picture, first ? Failure(.tooLong, why, [.back]) : Failure(.full, why, [.newChat, .back]))
        } catch {
            let why = (error as? EngineError)?.message ?? "\(error)"
            unanswered(text, picture, Failure(.answer, why, [.retry, .newChat]))
        }
    }

    /// The message goes back into the field, and its picture beside it.
    private func unanswered(_ text: String, _ picture: Picture?, _ failure: Failure) {
        update {
            $0.messages = $0.messages.dropLast(2)
            $0.answering = false
            $0.failure = failure
            $0.draft = text
            $0.picture = picture
        }
    }

    private func last(_ change: (inout Message) -> Void) {
        update { screen in
            guard let end = screen.messages.indices.last else { return }
            change(&screen.messages[end])
        }
    }
}
