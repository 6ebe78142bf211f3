package ufm

var squaredQuestions []Question
